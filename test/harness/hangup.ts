import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type App, startApp, systemClock, systemRandom } from '../../src/app/app.ts';
import { SCOPES, type Scope } from '../../src/domain/api-key.ts';
import type { Call } from '../../src/domain/call.ts';
import { createApiKey } from '../../src/operations/api-keys/create.ts';
import { parseSettings, type Settings } from '../../src/platform/config.ts';
import type { Store } from '../../src/ports/store.ts';
import type { Clock, Logger } from '../../src/ports/system.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { aCall } from './calls.ts';
import { type LiveKitUnderTest, startLiveKit } from './livekit.ts';
import { readMetrics } from './metrics.ts';

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** The real app, on a database of its own and a LiveKit. */
export interface Hangup {
  readonly url: string;
  readonly livekit: LiveKitUnderTest;
  readonly store: Store;
  readonly databaseFile: string;
  readonly organizationId: string;
  /** A key of that organization, with all scopes. */
  readonly key: string;
  readonly log: readonly LogLine[];
  makeKey(organizationName: string, scopes?: readonly Scope[], expiresAt?: number): Promise<string>;
  /** Puts a call on record as it is, past the API. */
  putCall(parts: Partial<Call> & { id: string }): Promise<void>;
  send(
    method: string,
    path: string,
    options?: { key?: string | null; body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
  stop(): Promise<void>;
}

const QUICK: Partial<Settings> = {
  cancelTimeoutMs: 1_000,
  backgroundTimeoutMs: 1_000,
  readTimeoutMs: 200,
  retry: { firstDelayMs: 20, maxDelayMs: 200, maxAgeMs: 86_400_000 },
  // Calls that a test puts on record have no rooms, and would end by that. Once at the start, then every January.
  reconcileSchedule: '0 0 0 1 1 *',
};

export async function startHangup({
  livekit: given,
  settings = {},
  clock = systemClock,
  inProcess = false,
}: {
  livekit?: LiveKitUnderTest;
  settings?: Partial<Settings>;
  clock?: Clock;
  /** The test reaches into it: from source, also where the single file is tested. */
  inProcess?: boolean;
} = {}): Promise<Hangup> {
  const folder = mkdtempSync(join(tmpdir(), 'hangup-test-'));
  const databaseFile = join(folder, 'hangup.db');
  const livekit = given ?? (await startLiveKit());
  const log: LogLine[] = [];
  const chosen = { ...QUICK, port: 0, databaseFile, ...settings };
  const binary = process.env.HANGUP_BINARY;
  const { url, store, stop } =
    binary && !inProcess && clock === systemClock
      ? await startBinary(binary, { settings: chosen, livekit, log })
      : await startApp({
          settings: { ...parseSettings({}, 'serve'), ...chosen },
          livekit,
          log: logInto(log),
          version: 'test',
          clock,
        });
  const makeKey = async (
    organizationName: string,
    scopes: readonly Scope[] = SCOPES,
    expiresAt: number | null = null,
  ) =>
    createApiKey(
      { store, clock, random: systemRandom },
      { organizationName, name: 'test', scopes, expiresAt },
    );
  const { apiKey, key } = await makeKey('acme');
  let compared: Promise<void> | undefined;
  return {
    url,
    livekit,
    store,
    databaseFile,
    organizationId: apiKey.organizationId,
    key,
    log,
    makeKey: async (...args) => (await makeKey(...args)).key,
    putCall: async (parts) => {
      compared ??= firstComparison(url);
      await compared;
      const call = aCall({ organizationId: apiKey.organizationId, ...parts });
      const { result } = await store.changeCall({ kind: 'register', call, apiKeyId: null });
      if (result.kind !== 'registered') throw new Error(`${parts.id} was not put: ${result.kind}`);
    },
    send: async (method, path, { key: presented = key, body, headers } = {}) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(presented !== null && { 'x-api-key': presented }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text && JSON.parse(text) };
    },
    stop: async () => {
      await stop();
      if (given === undefined) await livekit.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The settings that tests choose, as the environment has them. */
const NAMES: { readonly [S in keyof Settings]?: string } = {
  databaseFile: 'DATABASE_URL',
  port: 'PORT',
  keepAliveTimeoutMs: 'KEEP_ALIVE_TIMEOUT_MS',
  trustedProxies: 'TRUSTED_PROXIES',
  cancelTimeoutMs: 'LIVEKIT_REQUEST_TIMEOUT_MS',
  backgroundTimeoutMs: 'LIVEKIT_BACKGROUND_TIMEOUT_MS',
  readTimeoutMs: 'LIVEKIT_READ_TIMEOUT_MS',
  retryConcurrency: 'RETRY_CONCURRENCY',
  webhookKeys: 'LIVEKIT_WEBHOOK_KEYS',
  agentLeftGraceMs: 'AGENT_LEFT_GRACE_MS',
  reconnectGraceMs: 'CONNECTION_LOST_GRACE_MS',
  recreatedRoomWindowMs: 'ROOM_GUARD_MS',
  agentIdKey: 'ADOPT_AGENT_ID_KEY',
  reconcileSchedule: 'COMPARE_SCHEDULE',
  callStartTimeoutMs: 'NEVER_STARTED_AFTER_MS',
  requestsPerMinute: 'LIVEKIT_REQUESTS_PER_MINUTE',
};

function toEnvironment({ retry, ...settings }: Partial<Settings>): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [setting, value] of Object.entries(settings)) {
    const name = NAMES[setting as keyof Settings];
    if (name === undefined) throw new Error(`how is ${setting} named in the environment?`);
    environment[name] = String(value);
  }
  environment.DATABASE_URL = `file:${settings.databaseFile}`;
  const keys = settings.webhookKeys?.map(({ apiKey, apiSecret }) => `${apiKey}:${apiSecret}`);
  if (keys !== undefined) environment.LIVEKIT_WEBHOOK_KEYS = keys.join(',');
  if (retry !== undefined) {
    environment.RETRY_FIRST_DELAY_MS = String(retry.firstDelayMs);
    environment.RETRY_MAX_DELAY_MS = String(retry.maxDelayMs);
    environment.RETRY_MAX_AGE_MS = String(retry.maxAgeMs);
  }
  return environment;
}

/** The single file as a process of its own; the store that tests look into is a second one on its database. */
async function startBinary(
  binary: string,
  { settings, livekit, log }: { settings: Partial<Settings>; livekit: LiveKitUnderTest; log: LogLine[] },
): Promise<Pick<App, 'url' | 'store' | 'stop'>> {
  const child = spawn(binary, ['serve'], {
    env: {
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      ...toEnvironment(settings),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const served = Promise.withResolvers<string>();
  createInterface(child.stdout).on('line', (text) => {
    const { level, msg: message, time: _, ...fields } = JSON.parse(text);
    log.push({ level, message, fields });
    if (message === 'hangup serves') served.resolve(fields.url);
  });
  child.once('exit', (code) => served.reject(new Error(`${binary} ended with ${code}`)));
  const url = await served.promise;
  const store = openSqliteStore(settings.databaseFile ?? '');
  return {
    url,
    store,
    async stop() {
      store.close();
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}

function logInto(lines: LogLine[]): Logger {
  const at = (level: LogLine['level']) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } });
  };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

/** The one at the start would end a call without a room that is as old as most calls of tests. */
function firstComparison(url: string): Promise<void> {
  return until('the first comparison is over', async () => {
    const { samples } = await readMetrics(url);
    return samples.some(
      ({ name, labels }) => name === 'hangup_pass_duration_seconds_count' && labels.pass === 'rooms',
    );
  });
}

/** Looks again until it is so; fails, naming what it waited for, when it does not become so. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
