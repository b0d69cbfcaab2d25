import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import SqliteDatabase from 'better-sqlite3';
import { freePort } from '../../test/harness/ports.ts';
import type { Bench, HangupCommand } from './context.ts';
import { CREDENTIALS } from './livekit.ts';
import { startPinned } from './processes.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const BUILT = join(ROOT, 'dist/hangup');

const COUNT_TIMEOUT_MS = 120_000;
const COUNT_POLL_MS = 20;
/** Passes that compare rooms have rows of their own; elsewhere one pass at the start is enough. */
const ONCE_A_YEAR = '0 0 0 1 1 *';
/** Each request is counted and none is refused, so that the measurements include the rate limits. */
const UNREACHED_LIMIT = '1000000000';

/** Returns how to run hangup: a copy of dist/hangup if it is built, otherwise the source. */
export function findHangup(folder: string, { isSource }: { isSource: boolean }): HangupCommand {
  if (isSource || !existsSync(BUILT)) {
    const args = ['--disable-sigusr1', '--import', 'tsx', join(ROOT, 'src/main.ts')];
    return { command: process.execPath, args, description: 'the source (node --import tsx src/main.ts)' };
  }
  // Linux maps up to 50 MB more of the file that the build wrote than of a copy, which operators run.
  const command = join(folder, 'hangup');
  copyFileSync(BUILT, command);
  const version = execFileSync(command, ['version'], { encoding: 'utf8' }).trim();
  return { command, args: [], description: `dist/hangup (${version})` };
}

export interface Database {
  readonly file: string;
  readonly apiKey: string;
  readonly organizationId: string;
}

export function createDatabase({ folder, hangup }: Bench, name: string): Database {
  return createDatabaseFile(hangup, join(folder, `${name}.db`));
}

/** Makes a database with one organization and its API key; adds an API key to a database that exists. */
export function createDatabaseFile(hangup: HangupCommand, file: string): Database {
  const apiKey = createApiKey(hangup, `file:${file}`);
  const organizationId = withDatabase(file, (db) =>
    db.prepare<[], string>('SELECT id FROM organizations').pluck().get(),
  );
  if (organizationId === undefined) throw new Error(`${file} has no organization`);
  return { file, apiKey, organizationId };
}

/** Creates the schema if the database has none, and an API key. */
export function createApiKey(hangup: HangupCommand, databaseUrl: string): string {
  const output = execFileSync(
    hangup.command,
    [...hangup.args, 'keys', 'create', '--org', 'bench', '--name', 'bench'],
    {
      env: { PATH: process.env['PATH'], DATABASE_URL: databaseUrl },
      encoding: 'utf8',
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const apiKey = /hangup_\S+/.exec(output)?.[0];
  if (apiKey === undefined) throw new Error(`hangup keys create printed no key: ${output}`);
  return apiKey;
}

/** Copies a database that no process has open. */
export function copyDatabase(database: Database, name: string): Database {
  const file = `${database.file}.${name}`;
  copyFileSync(database.file, file);
  return { ...database, file };
}

/** Runs a function on a connection of its own, and leaves everything in the main file. */
export function withDatabase<Result>(file: string, run: (db: SqliteDatabase.Database) => Result): Result {
  const db = new SqliteDatabase(file);
  try {
    return run(db);
  } finally {
    db.close();
  }
}

/** @throws unless a query of one number returns the expected number */
export function expectCount(file: string, query: string, expected: number): void {
  const found = readCount(file, query);
  if (found !== expected) throw new Error(`expected ${expected}, found ${found}: ${query}`);
}

/** Waits until a query returns the expected number. @throws if the number is another one after 2 minutes */
export async function waitForCount(file: string, query: string, expected: number): Promise<void> {
  const endAt = performance.now() + COUNT_TIMEOUT_MS;
  while (readCount(file, query) !== expected && performance.now() < endAt) await sleep(COUNT_POLL_MS);
  expectCount(file, query, expected);
}

function readCount(file: string, query: string): number | undefined {
  const db = new SqliteDatabase(file, { readonly: true });
  try {
    return db.prepare<[], number>(query).pluck().get();
  } finally {
    db.close();
  }
}

export interface HangupServer {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  /** From the start of the process to the first answer. */
  readonly startMs: number;
  readonly headers: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/**
 * Starts `hangup serve` on the server's core, with the default settings apart from the schedule of comparisons, the rate
 * limits and the given ones. The log goes to a file, as under systemd.
 * @param prefix a command that runs hangup, such as strace with its options
 */
export async function startHangup(
  { resources, hangup, cores }: Bench,
  {
    database,
    livekitPort,
    settings = {},
    prefix = [],
  }: {
    database: Database;
    livekitPort: number;
    settings?: Readonly<Record<string, string>>;
    prefix?: readonly string[];
  },
): Promise<HangupServer> {
  const port = await freePort();
  const env = {
    PATH: process.env['PATH'],
    PORT: String(port),
    DATABASE_URL: `file:${database.file}`,
    LIVEKIT_URL: `http://127.0.0.1:${livekitPort}`,
    LIVEKIT_API_KEY: CREDENTIALS.apiKey,
    LIVEKIT_API_SECRET: CREDENTIALS.apiSecret,
    RECONCILE_SCHEDULE: ONCE_A_YEAR,
    RATE_LIMIT_CALLS: UNREACHED_LIMIT,
    RATE_LIMIT_CANCELS: UNREACHED_LIMIT,
    RATE_LIMIT_ANONYMOUS: UNREACHED_LIMIT,
    ...settings,
  };
  const log = openSync(`${database.file}.log`, 'a');
  const [command = hangup.command, ...args] = [...prefix, hangup.command, ...hangup.args, 'serve'];
  const { stop, child, startMs } = await startServer({
    core: cores?.server ?? null,
    command,
    args,
    env,
    stdio: ['ignore', log, log],
    url: `http://127.0.0.1:${port}/healthz`,
  });
  resources.defer(stop);
  const headers = { 'x-api-key': database.apiKey };
  return { port, url: `http://127.0.0.1:${port}`, pid: child.pid ?? 0, startMs, headers, stop };
}

/** Starts a server and waits for its first answer. */
export async function startServer({
  core,
  command,
  args,
  env,
  stdio,
  url,
}: {
  core: number | null;
  command: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  stdio: Parameters<typeof startPinned>[3]['stdio'];
  url: string;
}) {
  const beganAt = performance.now();
  const { child, stop } = startPinned(core, command, args, { env, stdio });
  for (;;) {
    const isUp = await fetch(url).then(
      (response) => response.text(),
      () => null,
    );
    if (isUp !== null) break;
    if (child.exitCode !== null) throw new Error(`${command} ${args.join(' ')} ended with ${child.exitCode}`);
    await sleep(1);
  }
  return { child, stop, startMs: performance.now() - beganAt };
}
