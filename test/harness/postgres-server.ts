import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  appendFileSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from './ports.ts';

/* Postgres servers for tests and scripts. */

const DEBIAN = '/usr/lib/postgresql';
const NOBODY = 65_534;
/** Postgres does not run as root. */
export const POSTGRES_USER: { uid?: number; gid?: number } =
  process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
export const START_TIMEOUT_MS = 30_000;

/** Returns the folder of Postgres's programs; null when the machine has none. */
export function findPostgres(): string | null {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
  const folders = [
    ...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''),
    ...newestFirst.map((version) => join(DEBIAN, version, 'bin')),
  ];
  const found = folders.find((folder) =>
    ['postgres', 'initdb'].every((name) => isProgram(join(folder, name))),
  );
  // On PATH can be links to some of the programs.
  return found === undefined ? null : dirname(realpathSync(join(found, 'postgres')));
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export const hasPostgres = () => process.env.TEST_POSTGRES_URL !== undefined || findPostgres() !== null;

export interface PostgresServer {
  /** URL of the database `postgres`. */
  readonly url: string;
  readonly pid: number;
  /** The folder of its data. */
  readonly folder: string;
  /** The user that the server runs as, if not the user of this process. */
  readonly user: { readonly uid?: number; readonly gid?: number };
  /** Ends all processes of the server as a power cut does. */
  crash(): Promise<void>;
  /** Stops all processes of the server, which keep their connections and do not respond. */
  suspend(): void;
  resume(): void;
  /** Starts the server again on its port, after a crash. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Creates a server in a new folder, and starts it. The server runs until it is stopped, also after this process. */
export async function startPostgresServer(
  folder: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const data = createFolder(folder);
  runProgram('initdb', [
    '--pgdata',
    data,
    '--username=hangup',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ]);
  const defaults = { max_connections: '300', fsync: 'on', shared_buffers: '64MB', max_wal_size: '256MB' };
  configure(data, { ...defaults, ...settings });
  return serveData(folder);
}

/** Creates a folder for a server. Returns the path of its data. */
export function createFolder(folder: string): string {
  mkdirSync(folder, { mode: 0o700 });
  const { uid, gid } = POSTGRES_USER;
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
  return join(folder, 'data');
}

/** Runs a program of Postgres to its end. */
export function runProgram(name: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(programOf(name), args, {
    ...POSTGRES_USER,
    encoding: 'utf8',
    cwd: '/',
  });
  if (status !== 0) throw new Error(`${name} failed: ${error?.message ?? stderr}`);
}

function programOf(name: string): string {
  const bin = findPostgres();
  if (bin === null) throw new Error('this machine has no Postgres');
  return join(bin, name);
}

/** Appends settings. The last value of a setting counts. */
export function configure(data: string, settings: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(settings)) {
    appendFileSync(join(data, 'postgresql.conf'), `${name} = '${value}'\n`);
  }
}

/** Starts a server on the data of a folder. @param port by default a free one */
export async function serveData(folder: string, port?: number): Promise<PostgresServer> {
  const data = join(folder, 'data');
  const ownPort = port ?? (await freePort());
  configure(data, {
    listen_addresses: '127.0.0.1',
    port: String(ownPort),
    unix_socket_directories: folder,
  });
  const url = `postgres://hangup@127.0.0.1:${ownPort}/postgres`;
  let child: ChildProcess;
  const start = async () => {
    const options = { ...POSTGRES_USER, cwd: folder, detached: true, stdio: 'ignore' } as const;
    child = spawn(programOf('postgres'), ['-D', data], options);
    child.unref();
    await waitUntilReady(url, child);
  };
  const end = async (signal: NodeJS.Signals) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.ref();
    process.kill(child.pid, signal);
    await exited;
  };
  const resume = () => {
    const postmaster = child.pid ?? 0;
    for (const pid of [...childrenOf(postmaster), postmaster]) process.kill(pid, 'SIGCONT');
  };
  let isSuspended = false;
  await start();
  return {
    url,
    folder: data,
    user: POSTGRES_USER,
    get pid() {
      return child.pid ?? 0;
    },
    async crash() {
      // The processes of the server end with their postmaster, after the current statement at the latest.
      const workers = childrenOf(child.pid ?? 0);
      await end('SIGKILL');
      for (const pid of workers) signalIfRunning(pid, 'SIGKILL');
      while (workers.some(isRunning)) await delay(1);
    },
    suspend() {
      isSuspended = true;
      const postmaster = child.pid ?? 0;
      // The postmaster first: it then starts no more processes.
      process.kill(postmaster, 'SIGSTOP');
      for (const pid of childrenOf(postmaster)) process.kill(pid, 'SIGSTOP');
    },
    resume() {
      isSuspended = false;
      resume();
    },
    restart: start,
    async stop() {
      if (isSuspended) resume();
      await end('SIGINT');
    },
  };
}

function childrenOf(parent: number): number[] {
  const text = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function signalIfRunning(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has ended.
  }
}

function isRunning(pid: number): boolean {
  try {
    // After the name, which can contain spaces, comes the state. Z: only the parent's wait is missing.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function waitUntilReady(url: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      return await query(url, 'SELECT 1').then(() => {});
    } catch (error) {
      if (performance.now() > deadline || child.exitCode !== null) throw error;
      await delay(20);
    }
  }
}

/** Runs SQL on a connection of its own. */
export async function query<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Row>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** Ends the server of the run, if a test started one. */
export async function stopSharedServer(temporaryFolder: string): Promise<void> {
  const file = join(temporaryFolder, 'postgres/data/postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  process.kill(pid, 'SIGINT');
  while (existsSync(file)) await delay(20);
}
