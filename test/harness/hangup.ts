import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import SqliteDatabase from 'better-sqlite3';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { appRouter } from '../../src/api/router.ts';
import { type App, startApp } from '../../src/app/app.ts';
import { SCOPES, type Scope } from '../../src/domain/api-key.ts';
import type { Call } from '../../src/domain/call.ts';
import { collectRoutes } from '../../src/http/routes.ts';
import { createApiKey } from '../../src/operations/api-keys/create.ts';
import { systemClock, systemRandom, systemTimers } from '../../src/platform/clock.ts';
import { parseSettings, type Settings } from '../../src/platform/config.ts';
import type { Store } from '../../src/ports/store.ts';
import type { Clock, Logger, Timers } from '../../src/ports/system.ts';
import { createScheduler, type Scheduler } from '../../src/reconciler/scheduler.ts';
import { openStore } from '../../src/store/open-store.ts';
import { buildCall } from './calls.ts';
import { readAnswer } from './event-stream.ts';
import { type LiveKitUnderTest, startLiveKit } from './livekit.ts';
import { manualTimers } from './manual-timers.ts';
import { readMetrics } from './metrics.ts';
import { createPostgresDatabase } from './postgres.ts';
import { query } from './postgres-server.ts';
import { COMMAND, STORE_THREAD } from './process.ts';
import { makeTemporaryFolder } from './temporary.ts';
import { WAIT } from './time.ts';

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

/** A running hangup with its own database and LiveKit. */
export interface Hangup {
  readonly url: string;
  readonly livekit: LiveKitUnderTest;
  readonly store: Store;
  readonly database: Settings['database'];
  /** The file of a database of SQLite. */
  readonly databaseFile: string;
  /** Runs SQL on the database, and returns its rows. */
  sql(text: string): Promise<unknown[]>;
  /** Returns all rows of all tables, by the name of the table. */
  readTables(): Promise<ReadonlyMap<string, readonly unknown[]>>;
  readonly organizationId: string;
  /** A key of the organization, with all scopes. */
  readonly key: string;
  readonly log: readonly LogLine[];
  createKey(organizationName: string, scopes?: readonly Scope[], expiresAt?: number): Promise<string>;
  /** Inserts a call into the store, without the API. */
  insertCall(parts: Partial<Call> & { id: string }): Promise<void>;
  send(
    method: string,
    path: string,
    options?: { key?: string | null; body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
  stop(): Promise<void>;
}

type Operations = Settings['operations'];

/** Settings that a test chooses, without their groups. */
export type TestSettings = Partial<
  Omit<Settings, 'operations' | 'reconciler'> &
    Settings['reconciler'] &
    Omit<Operations, 'callSettings'> &
    Omit<Operations['callSettings'], 'policy'> &
    Operations['callSettings']['policy'] & { readonly databaseFile: string }
>;

type ChosenSettings = TestSettings & Pick<Settings, 'database'>;

/** Returns the settings with each chosen value in its group. */
function choose<Group extends object>(settings: Group, chosen: TestSettings): Group {
  const entries = Object.entries(settings).map(([name, value]) => {
    if (name in chosen) return [name, chosen[name as keyof TestSettings]];
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value);
    return [name, isGroup ? choose(value, chosen) : value];
  });
  return Object.fromEntries(entries) as Group;
}

const DAY_MS = 86_400_000;

const QUICK: TestSettings = {
  // A busy machine must not look like an outage of LiveKit. The tests of a LiveKit that hangs set their own.
  cancelTimeoutMs: 4_000,
  backgroundTimeoutMs: 10_000,
  readTimeoutMs: 4_000,
  retry: { initialDelayMs: 20, maxDelayMs: 200, maxAgeMs: DAY_MS },
  // Counts every request, and refuses none. The tests of limits set their own.
  rateLimits: { calls: 1_000_000_000, cancels: 1_000_000_000, anonymous: 1_000_000_000 },
  // Reconciliations end inserted calls without rooms. Reconciles at the start, in January, and after an outage of LiveKit.
  reconcileSchedule: '0 0 0 1 1 *',
  callStartTimeoutMs: 365 * DAY_MS,
};

/** An inserted call is older than the events of its room, whose times LiveKit rounds down to seconds. */
const CALL_AGE_MS = 60_000;

const isOnPostgres = process.env.TEST_STORE === 'postgres';
/**
 * Returns timers for exact counts of requests. A busy machine can need longer for a count in Postgres than hangup waits
 * before it counts in memory.
 */
export const timersForCounts = () => (isOnPostgres ? manualTimers() : systemTimers);
/** A test of what only SQLite has, such as its lock for writes. */
export const onSqlite = test.runIf(!isOnPostgres);
/** A test of what only Postgres has, such as its connections. */
export const onPostgres = test.runIf(isOnPostgres);

/** Returns the database of the chosen file; otherwise a new one of the kind that TEST_STORE names. */
export async function openTestDatabase(
  { databaseFile }: Pick<TestSettings, 'databaseFile'>,
  newFile: string,
): Promise<{ database: Settings['database']; remove: () => Promise<void> }> {
  if (isOnPostgres && databaseFile === undefined) {
    const { url, remove } = await createPostgresDatabase();
    return { database: { kind: 'postgres', url }, remove };
  }
  return { database: { kind: 'sqlite', file: databaseFile ?? newFile }, remove: async () => {} };
}

/** Runs SQL on a connection of its own. */
async function runSql(database: Settings['database'], sql: string): Promise<unknown[]> {
  if (database.kind === 'postgres') return query(database.url, sql);
  const client = new SqliteDatabase(database.file);
  try {
    const statement = client.prepare(sql);
    return statement.reader ? statement.all() : [statement.run()];
  } finally {
    client.close();
  }
}

async function readTables(database: Settings['database']): Promise<Map<string, unknown[]>> {
  const tables = await runSql(
    database,
    database.kind === 'sqlite'
      ? "SELECT name FROM sqlite_master WHERE type = 'table'"
      : "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
  );
  const names = tables.map((row) => (row as { name: string }).name);
  const rows = names.map(async (name) => [name, await runSql(database, `SELECT * FROM "${name}"`)] as const);
  return new Map(await Promise.all(rows));
}

export async function startHangup({
  livekit: given,
  settings = {},
  clock = systemClock,
  timers = systemTimers,
  scheduler = createScheduler(clock),
  inProcess = false,
}: {
  livekit?: LiveKitUnderTest;
  settings?: TestSettings;
  clock?: Clock;
  timers?: Timers;
  scheduler?: Scheduler;
  /** Runs hangup from source in this process, also when HANGUP_BINARY names the single file. */
  inProcess?: boolean;
} = {}): Promise<Hangup> {
  const folder = makeTemporaryFolder();
  const { databaseFile = join(folder, 'hangup.db'), ...others } = settings;
  const { database, remove } = await openTestDatabase(settings, databaseFile);
  const livekit = given ?? (await startLiveKit());
  const log: LogLine[] = [];
  const chosen = { ...QUICK, port: 0, database, ...others };
  const binary = process.env.HANGUP_BINARY;
  const { url, store, stop } =
    binary && !inProcess && clock === systemClock && timers === systemTimers
      ? await startBinary(binary, { settings: chosen, livekit, log })
      : await startApp({
          settings: choose(parseSettings({}, 'server'), chosen),
          livekit,
          log: logInto(log),
          version: 'test',
          clock,
          timers,
          scheduler,
          thread: STORE_THREAD,
          runDoctor: () => runDoctor({ settings: chosen, livekit }),
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
    database,
    databaseFile,
    sql: (text) => runSql(database, text),
    readTables: () => readTables(database),
    organizationId: apiKey.organizationId,
    key,
    log,
    createKey: async (...args) => (await makeKey(...args)).key,
    insertCall: async (parts) => {
      compared ??= firstReconciliation(url);
      await compared;
      const call = buildCall({
        organizationId: apiKey.organizationId,
        // A reconciliation ends an old call that has no room.
        ...(parts.endedAt === undefined && { createdAt: clock.now() - CALL_AGE_MS }),
        ...parts,
      });
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
      const { status, text } = await readAnswer(response);
      const answer = { status, headers: response.headers, body: text && JSON.parse(text) };
      const isStream = response.headers.get('content-type') === 'text/event-stream';
      if (method !== 'HEAD' && !isStream) assertOutput(method, path, answer);
      return answer;
    },
    stop: async () => {
      await stop();
      await remove();
      if (given === undefined) await livekit.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const ROUTES = collectRoutes(appRouter).map(({ rest, output }) => ({
  method: rest.method,
  path: new RegExp(`^/api/v1${rest.path.replaceAll(/\{\w+\}/g, '[^/?]+')}(?:\\?|$)`),
  body: z.strictObject({ data: output, message: z.string().optional() }),
}));

/** Asserts that a successful response has exactly the output in the schema: hangup does not check its outputs. */
function assertOutput(method: string, path: string, { status, body }: Answer): void {
  const route = ROUTES.find((one) => one.method === method && one.path.test(path));
  if (route !== undefined && status < 300) expect(route.body.parse(body)).toEqual(body);
}

/** The environment variables of the settings that tests choose. */
const NAMES: { readonly [S in keyof TestSettings]?: string } = {
  port: 'PORT',
  keepAliveTimeoutMs: 'KEEP_ALIVE_TIMEOUT_MS',
  shutdownDelayMs: 'SHUTDOWN_DELAY_MS',
  trustedProxies: 'TRUSTED_PROXIES',
  corsOrigins: 'CORS_ORIGINS',
  cancelTimeoutMs: 'LIVEKIT_CANCEL_TIMEOUT_MS',
  backgroundTimeoutMs: 'LIVEKIT_BACKGROUND_TIMEOUT_MS',
  readTimeoutMs: 'LIVEKIT_READ_TIMEOUT_MS',
  concurrency: 'RETRY_CONCURRENCY',
  webhookKeys: 'LIVEKIT_WEBHOOK_KEYS',
  agentLeftGraceMs: 'AGENT_LEFT_GRACE_MS',
  reconnectGraceMs: 'RECONNECT_GRACE_MS',
  recreatedRoomWindowMs: 'RECREATED_ROOM_WINDOW_MS',
  agentIdKey: 'ADOPT_AGENT_ID_KEY',
  reconcileSchedule: 'RECONCILE_SCHEDULE',
  callStartTimeoutMs: 'CALL_START_TIMEOUT_MS',
  requestsPerMinute: 'LIVEKIT_REQUESTS_PER_MINUTE',
};

function toEnvironment({ retry, rateLimits, database, ...settings }: ChosenSettings): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [setting, value] of Object.entries(settings)) {
    const name = NAMES[setting as keyof TestSettings];
    if (name === undefined) throw new Error(`how is ${setting} named in the environment?`);
    environment[name] = String(value);
  }
  environment.DATABASE_URL = database.kind === 'sqlite' ? `file:${database.file}` : database.url;
  const keys = settings.webhookKeys?.map(({ apiKey, apiSecret }) => `${apiKey}:${apiSecret}`);
  if (keys !== undefined) environment.LIVEKIT_WEBHOOK_KEYS = keys.join(',');
  for (const [policy, quota] of Object.entries(rateLimits ?? {})) {
    environment[`RATE_LIMIT_${policy.toUpperCase()}`] = String(quota);
  }
  if (retry !== undefined) {
    environment.RETRY_INITIAL_DELAY_MS = String(retry.initialDelayMs);
    environment.RETRY_MAX_DELAY_MS = String(retry.maxDelayMs);
    environment.RETRY_MAX_AGE_MS = String(retry.maxAgeMs);
  }
  return environment;
}

/** Runs `hangup doctor` with the settings of a hangup in this process. It exits with 1 after a failed check. */
function runDoctor(hangup: { settings: ChosenSettings; livekit: LiveKitUnderTest }): Promise<string> {
  const [command, ...args] = COMMAND;
  const env = { PATH: process.env.PATH ?? '', ...environmentOf(hangup) };
  return new Promise((resolve, reject) => {
    execFile(command, [...args, 'doctor', '--json'], { env }, (error, stdout) =>
      stdout === '' ? reject(error) : resolve(stdout),
    );
  });
}

function environmentOf({ settings, livekit }: { settings: ChosenSettings; livekit: LiveKitUnderTest }) {
  return {
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    ...toEnvironment(settings),
  };
}

/** Starts the single file as a process. Tests read its database through a second store. */
async function startBinary(
  binary: string,
  { settings, livekit, log }: { settings: ChosenSettings; livekit: LiveKitUnderTest; log: LogLine[] },
): Promise<Pick<App, 'url' | 'store' | 'stop'>> {
  const child = spawn(binary, ['serve'], {
    env: environmentOf({ settings, livekit }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const served = Promise.withResolvers<string>();
  createInterface(child.stdout).on('line', (text) => {
    const { level, msg: message, time: _, ...fields } = JSON.parse(text);
    log.push({ level, message, fields });
    if (message === 'server started') served.resolve(fields.url);
  });
  child.once('exit', (code) => served.reject(new Error(`${binary} ended with ${code}`)));
  const url = await served.promise;
  const store = await openStore(settings.database, { onMigrating: () => {} });
  return {
    url,
    store,
    async stop() {
      await store.close();
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

/** Waits for the first reconciliation, which would end an inserted call without a room. */
async function firstReconciliation(url: string): Promise<void> {
  await vi.waitFor(async () => {
    if ((await countReconciliations(url)) === 0) throw new Error('the rooms are not reconciled yet');
  }, WAIT);
}

/** Waits for a complete reconciliation of rooms that begins after this call. */
export async function nextReconciliation(url: string): Promise<void> {
  const before = await countReconciliations(url);
  await vi.waitFor(async () => {
    // The first reconciliation that ends may have started before this call.
    if ((await countReconciliations(url)) < before + 2) throw new Error('the rooms are not reconciled yet');
  }, WAIT);
}

async function countReconciliations(url: string): Promise<number> {
  const { samples } = await readMetrics(url);
  const passes = samples.find(
    ({ name, labels }) => name === 'hangup_reconcile_duration_seconds_count' && labels.loop === 'rooms',
  );
  return passes?.value ?? 0;
}
