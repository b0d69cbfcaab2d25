import { randomBytes } from 'node:crypto';
import type { App } from '../app/app.ts';
import { SCOPES } from '../domain/api-key.ts';
import { type Call, newCall } from '../domain/call.ts';
import { LIVE_STATUSES } from '../domain/call-status.ts';
import { type Emulator, startEmulator } from '../emulator/emulator.ts';
import { createApiKey } from '../operations/api-keys/create.ts';
import { commandName } from '../platform/assets.ts';
import { systemClock, systemRandom } from '../platform/clock.ts';
import type { LiveKitServer } from '../ports/livekit.ts';
import type { Store } from '../ports/store.ts';

const ORGANIZATION = 'demo';
const DEMO_CALL_COUNT = 3;
/** The lifetime of the key in the sign-in link of a later start. */
const LINK_MS = 24 * 3_600_000;
/**
 * The same at each start, so that a session of the console outlasts a restart. This value is public: each
 * signature includes the hash of the API key, which only the sandbox's database has.
 */
const SESSION_SECRET = 'hangup sandbox';

/** The built-in emulator, with demo data to try hangup without a LiveKit. */
export interface Sandbox {
  readonly livekit: LiveKitServer;
  readonly sessionSecret: string;
  /** Creates an organization, an API key and live calls, and prints a sign-in link and example commands to standard output. */
  welcome(app: App): Promise<void>;
  close(): Promise<void>;
}

/** Starts the emulator, with hangup's address for its webhooks. */
export async function openSandbox({ host, port }: { host: string; port: number }): Promise<Sandbox> {
  const credentials = { apiKey: 'emulator', apiSecret: randomBytes(32).toString('base64url') };
  // The emulator cannot send webhooks to a port that is not selected yet.
  const webhookUrls = port === 0 ? [] : [`http://${reachableHost(host)}:${port}/webhooks/livekit`];
  const emulator = await startEmulator({ ...credentials, webhookUrls });
  return {
    livekit: { url: emulator.url, ...credentials },
    sessionSecret: SESSION_SECRET,
    close: () => emulator.stop(),
    async welcome({ store, url }) {
      const { organizationId, key, isFirst } = await createDemoKey(store);
      const callIds = await ensureDemoCalls(store, emulator, organizationId);
      process.stdout.write(welcomeText({ url: browserUrl(url), key, isFirst, callIds }));
    },
  };
}

function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Creates the key of the sign-in link. The first one never expires and is printed for other clients too. The database stores
 * only its hash, so each later start creates another key, which expires after a day.
 */
async function createDemoKey(
  store: Store,
): Promise<{ organizationId: string; key: string; isFirst: boolean }> {
  const isFirst = !(await store.listApiKeys()).some(
    ({ organizationName }) => organizationName === ORGANIZATION,
  );
  const { apiKey, key } = await createApiKey(
    { store, clock: systemClock, random: systemRandom },
    {
      organizationName: ORGANIZATION,
      name: isFirst ? 'first start' : 'sign-in link',
      scopes: SCOPES,
      expiresAt: isFirst ? null : systemClock.now() + LINK_MS,
    },
  );
  return { organizationId: apiKey.organizationId, key, isFirst };
}

/** Creates missing demo calls, unless a hold refuses them, and the rooms of all live calls: the emulator loses its rooms when it stops. */
async function ensureDemoCalls(
  store: Store,
  emulator: Emulator,
  organizationId: string,
): Promise<readonly string[]> {
  const { calls } = await store.listCalls({
    organizationId,
    statuses: LIVE_STATUSES,
    sortBy: 'createdAt',
    sortOrder: 'desc',
    limit: 100,
    offset: 0,
  });
  const ids = calls.map(({ id }) => id);
  while (ids.length < DEMO_CALL_COUNT) {
    const id = await insertDemoCall(store, organizationId, ids.length);
    if (id === null) break;
    ids.push(id);
  }
  for (const id of ids) {
    const record = await store.findCall(id);
    if (record !== null) openRoom(emulator, record.call);
  }
  return ids;
}

/** Returns the id of the new call; null when a hold refuses the call. */
async function insertDemoCall(store: Store, organizationId: string, index: number): Promise<string | null> {
  const id = systemRandom.id('call');
  const now = systemClock.now();
  const phoneNumber = `+1555010000${index + 1}`;
  const call = newCall({
    id,
    organizationId,
    roomName: id,
    status: 'active',
    phoneNumber,
    agentId: 'receptionist',
    agentName: 'Receptionist',
    contactName: 'Ada',
    contactPhone: phoneNumber,
    metadata: { seeded: true },
    startedAt: now,
    answeredAt: now,
    createdAt: now,
  });
  const { result } = await store.changeCall({ kind: 'register', call, apiKeyId: null });
  if (result.kind === 'held') return null;
  if (result.kind !== 'registered') throw new Error(`cannot create a demo call: ${result.kind}`);
  return id;
}

function openRoom(emulator: Emulator, call: Call): void {
  emulator.join(call.roomName, { identity: 'agent', kind: 'AGENT' });
  emulator.join(call.roomName, {
    identity: 'phone',
    kind: 'SIP',
    attributes: {
      'sip.callStatus': 'active',
      ...(call.phoneNumber && { 'sip.phoneNumber': call.phoneNumber }),
    },
  });
}

/** Returns the address for clients on this machine: no browser opens http://0.0.0.0. */
function browserUrl(url: string): string {
  const { hostname, port } = new URL(url);
  return `http://${reachableHost(hostname.replace(/^\[(.*)\]$/, '$1'))}:${port}`;
}

function welcomeText({
  url,
  key,
  isFirst,
  callIds,
}: {
  url: string;
  key: string;
  isFirst: boolean;
  callIds: readonly string[];
}): string {
  const keyText = isFirst
    ? `API key of the organization "${ORGANIZATION}" (shown only once):
  ${key}`
    : `API key of the organization "${ORGANIZATION}" (valid for 24 hours):
  ${key}
To create another key:
  ${commandName()} keys create --org ${ORGANIZATION} --name mine`;
  const callsText =
    callIds.length === 0
      ? `A hold refuses the demo calls. To find and lift the hold, in another terminal:
  export HANGUP_URL=${url} HANGUP_API_KEY=${key}
  ${commandName()} stop list
  ${commandName()} stop lift ID
Then start hangup again.`
      : `There are ${callIds.length} live calls, each with an agent and a phone in its room. To cancel one:
  curl -X DELETE ${url}/api/v1/calls/${callIds[0]} -H 'x-api-key: ${key}'`;
  return `
hangup is running on ${url}
LIVEKIT_URL is not set, so hangup uses its built-in LiveKit emulator. Rooms and participants are simulated.

Open the console. The link signs you in:
  ${url}/console#key=${key}

${keyText}

${callsText}
To list all calls:
  curl ${url}/api/v1/calls -H 'x-api-key: ${key}'
API reference: ${url}/docs
To stop hangup, press Ctrl-C.

`;
}
