import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, onTestFinished } from 'vitest';
import { freePort } from './ports.ts';
import {
  configure,
  createFolder,
  type PostgresServer,
  query,
  runProgram,
  serveData,
  startPostgresServer,
} from './postgres-server.ts';

/* Postgres servers that one test may kill. */

let folders = 0;

/** Returns the path of a folder that does not exist, and that Postgres's user can reach. Removes the folder after the test. */
function newFolder(): string {
  folders += 1;
  const folder = join(inject('temporaryFolder'), `postgres-${process.pid}-${folders}`);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a server of its own for the test. */
export async function ownPostgres(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
  const server = await startPostgresServer(newFolder(), settings);
  onTestFinished(() => server.stop());
  return server;
}

/** A primary and its synchronous standby, which change places. */
export interface PostgresPair {
  /** URL with both servers. */
  readonly url: string;
  primaryUrl(): string;
  standbyUrl(): string;
  /** Kills the primary and promotes the standby. The new primary commits nothing before it has a standby. */
  failOver(): Promise<void>;
  /** Replaces the killed server with a standby of the primary. Resolves when the standby is synchronous. */
  rebuild(): Promise<void>;
}

interface Member {
  readonly folder: string;
  readonly port: number;
  readonly server: PostgresServer;
}

const STANDBY = 'standby';
/** Both servers have the same settings, because each one becomes the other. */
const SETTINGS = {
  wal_level: 'replica',
  hot_standby: 'on',
  synchronous_commit: 'on',
  synchronous_standby_names: STANDBY,
  // The name of a standby in its connection to the primary.
  cluster_name: STANDBY,
};

export async function startPostgresPair(): Promise<PostgresPair> {
  const folder = newFolder();
  const server = await startPostgresServer(folder, SETTINGS);
  const port = Number(new URL(server.url).port);
  let primary: Member = { folder, port, server };
  onTestFinished(() => primary.server.stop());
  let standby = await startStandby(primary, await freePort());
  onTestFinished(() => standby.server.stop());
  return {
    url: `postgres://hangup@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/postgres`,
    primaryUrl: () => primary.server.url,
    standbyUrl: () => standby.server.url,
    async failOver() {
      await primary.server.crash();
      await query(standby.server.url, 'SELECT pg_promote()');
      [primary, standby] = [standby, primary];
    },
    async rebuild() {
      rmSync(standby.folder, { recursive: true });
      standby = await startStandby(primary, standby.port);
    },
  };
}

/** Copies the primary, starts the copy as a standby, and waits until it is synchronous. */
async function startStandby(primary: Member, port: number): Promise<Member> {
  const folder = newFolder();
  const data = createFolder(folder);
  const { url } = primary.server;
  runProgram('pg_basebackup', ['--dbname', url, '--pgdata', data, '--checkpoint=fast', '--no-sync']);
  configure(data, { primary_conninfo: `host=127.0.0.1 port=${primary.port} user=hangup` });
  writeFileSync(join(data, 'standby.signal'), '');
  const server = await serveData(folder, port);
  await expect
    .poll(() =>
      query(url, `SELECT sync_state FROM pg_stat_replication WHERE application_name = '${STANDBY}'`),
    )
    .toEqual([{ sync_state: 'sync' }]);
  return { folder, port, server };
}
