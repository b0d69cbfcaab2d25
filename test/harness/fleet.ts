import { createApiKey } from '../../src/operations/api-keys/create.ts';
import { systemClock, systemRandom } from '../../src/platform/clock.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import type { Prng } from '../simulation/prng.ts';
import { API_KEY, API_SECRET } from './livekit.ts';
import { type RunningHangup, serveHangup } from './process.ts';
import { type RecordedRequest, startRecordingProxy } from './recording-proxy.ts';
import { temporaryFolder } from './temporary.ts';
import { startTraffic } from './traffic.ts';

/** Processes of hangup on one Postgres and one LiveKit. */
export interface Fleet {
  /** The running processes, by name. Each start has a name of its own. */
  readonly running: ReadonlyMap<string, RunningHangup>;
  /** Returns the URLs of the running processes. */
  servers(): readonly string[];
  /** The requests of all processes to LiveKit. */
  readonly requests: readonly RecordedRequest[];
  /** When each killed process had ended. */
  readonly ends: ReadonlyMap<string, number>;
  /** Starts a process. Returns its name. */
  start(): Promise<string>;
  kill(name: string): Promise<void>;
}

/** The longest attempt to delete a room. */
export const ATTEMPT_TIMEOUT_MS = 500;
/** Quick retries, and short leases: an interrupted deletion is due when its lease ends. */
const SETTINGS = {
  LIVEKIT_CANCEL_TIMEOUT_MS: String(ATTEMPT_TIMEOUT_MS),
  LIVEKIT_BACKGROUND_TIMEOUT_MS: String(ATTEMPT_TIMEOUT_MS),
  RETRY_INITIAL_DELAY_MS: '100',
  RETRY_MAX_DELAY_MS: '1000',
  RECONCILE_SCHEDULE: '* * * * * *',
};

/**
 * Prepares a fleet without processes.
 * @param onRequest receives each request to LiveKit, and holds it until the promise resolves
 */
function prepareFleet({
  databaseUrl,
  livekitUrl,
  onRequest = async () => {},
}: {
  databaseUrl: string;
  livekitUrl: string;
  onRequest?: (request: RecordedRequest) => Promise<void>;
}): Fleet {
  const running = new Map<string, RunningHangup>();
  const requests: RecordedRequest[] = [];
  const ends = new Map<string, number>();
  const cwd = temporaryFolder();
  let starts = 0;
  return {
    running,
    servers: () => [...running.values()].map(({ url }) => url),
    requests,
    ends,
    async start() {
      starts += 1;
      const name = `process ${starts}`;
      const proxyUrl = await startRecordingProxy(livekitUrl, name, async (request) => {
        requests.push(request);
        await onRequest(request);
      });
      const env = {
        ...SETTINGS,
        DATABASE_URL: databaseUrl,
        // A host other than loopback, to which the proxy applies.
        LIVEKIT_URL: 'http://livekit.test',
        HTTP_PROXY: proxyUrl,
        LIVEKIT_API_KEY: API_KEY,
        LIVEKIT_API_SECRET: API_SECRET,
      };
      running.set(name, await serveHangup({ env, cwd }));
      return name;
    },
    async kill(name) {
      await running.get(name)?.kill('SIGKILL');
      running.delete(name);
      ends.set(name, Date.now());
    },
  };
}

/** Creates an API key for calls and their cancels. */
export async function createKey(databaseUrl: string): Promise<{ key: string; organizationId: string }> {
  const store = await openPostgresStore({ url: databaseUrl });
  try {
    const { key, apiKey } = await createApiKey(
      { store, clock: systemClock, random: systemRandom },
      {
        organizationName: 'acme',
        name: 'test',
        scopes: ['calls:read', 'calls:write', 'calls:cancel', 'calls:stop'],
        expiresAt: null,
      },
    );
    return { key, organizationId: apiKey.organizationId };
  } finally {
    await store.close();
  }
}

/**
 * Starts processes of hangup on a database, and clients that use them.
 * @param onRequest see {@link prepareFleet}
 */
export async function serveTraffic(
  databaseUrl: string,
  {
    processes,
    prng,
    clients,
    onRequest,
  }: {
    processes: number;
    prng: Prng;
    clients?: number;
    onRequest?: (request: RecordedRequest) => Promise<void>;
  },
) {
  const owner = await createKey(databaseUrl);
  let servers = (): readonly string[] => [];
  const traffic = await startTraffic({
    servers: () => servers(),
    key: owner.key,
    prng: prng.fork(),
    ...(clients !== undefined && { clients }),
  });
  const fleet = prepareFleet({
    databaseUrl,
    livekitUrl: traffic.emulator.url,
    ...(onRequest !== undefined && { onRequest }),
  });
  servers = fleet.servers;
  await Promise.all(Array.from({ length: processes }, () => fleet.start()));
  return { ...owner, traffic, fleet };
}
