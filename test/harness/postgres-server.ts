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
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

/* Postgres servers for tests and scripts. */

const DEBIAN = '/usr/lib/postgresql';
/** nobody: Postgres does not run as root. */
const UNPRIVILEGED = 65_534;
export const START_TIMEOUT_MS = 30_000;

/** Returns the folder of Postgres's programs; null when the machine has none. */
export function findPostgres(): string | null {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
  const folders = [
    ...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''),
    ...newestFirst.map((version) => join(DEBIAN, version, 'bin')),
  ];
  return (
    folders.find((folder) => ['postgres', 'initdb'].every((name) => isProgram(join(folder, name)))) ?? null
  );
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
  /** Stops all processes of the server until they continue: connections are accepted, and get no response. */
  freeze(): void;
  thaw(): void;
  /** Starts the server again on its port, after a crash. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Creates a server in a new folder, and starts it. The server runs until it is stopped, also after this process. */
export async function startPostgresServer(
  folder: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const bin = findPostgres();
  if (bin === null) throw new Error('this machine has no Postgres');
  mkdirSync(folder, { mode: 0o700 });
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(folder, UNPRIVILEGED, UNPRIVILEGED);
  const user = isRoot ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {};
  const data = join(folder, 'data');
  const init = [
    '--pgdata',
    data,
    '--username=hangup',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ];
  const { status, stderr } = spawnSync(join(bin, 'initdb'), init, { ...user, encoding: 'utf8', cwd: folder });
  if (status !== 0) throw new Error(`initdb failed: ${stderr}`);
  const port = await freePort();
  const defaults = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: folder,
    max_connections: '300',
    fsync: 'on',
    shared_buffers: '64MB',
    max_wal_size: '256MB',
  };
  for (const [name, value] of Object.entries({ ...defaults, ...settings })) {
    appendFileSync(join(data, 'postgresql.conf'), `${name} = '${value}'\n`);
  }
  const url = `postgres://hangup@127.0.0.1:${port}/postgres`;
  let child: ChildProcess;
  const start = async () => {
    const options = { ...user, cwd: folder, detached: true, stdio: 'ignore' } as const;
    child = spawn(join(bin, 'postgres'), ['-D', data], options);
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
  const signalAll = (signal: NodeJS.Signals) => {
    const parent = child.pid ?? 0;
    for (const pid of [parent, ...childrenOf(parent)]) signalIfRunning(pid, signal);
  };
  await start();
  return {
    url,
    folder: data,
    user,
    get pid() {
      return child.pid ?? 0;
    },
    async crash() {
      // The processes of the server end with their postmaster, after the current statement at the latest.
      const workers = childrenOf(child.pid ?? 0);
      await end('SIGKILL');
      for (const pid of workers) signalIfRunning(pid, 'SIGKILL');
    },
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    restart: start,
    stop: () => end('SIGINT'),
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
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
