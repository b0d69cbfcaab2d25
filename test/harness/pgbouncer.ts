import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { freePort } from './ports.ts';
import { POSTGRES_USER, query } from './postgres-server.ts';
import { temporaryFolder } from './temporary.ts';

/** Starts PgBouncer in transaction mode before a server, with at most `connections` connections. Returns its URL. */
export async function startPgBouncer(serverUrl: string, connections: number): Promise<string> {
  return (await startMovablePgBouncer(serverUrl, connections)).url;
}

/** Starts PgBouncer as {@link startPgBouncer}. `moveTo` leads it to another server, and keeps the connections of its clients. */
export async function startMovablePgBouncer(
  serverUrl: string,
  connections: number,
): Promise<{ readonly url: string; moveTo(serverUrl: string): void }> {
  const folder = temporaryFolder();
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  const write = (target: string) =>
    writeFileSync(
      file,
      `[databases]
postgres = host=127.0.0.1 port=${new URL(target).port} user=hangup
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${connections}
max_client_conn = 200
`,
    );
  write(serverUrl);
  // PgBouncer does not run as root.
  chmodSync(folder, 0o755);
  const pooler = spawn('pgbouncer', [file], { ...POSTGRES_USER, cwd: '/', stdio: 'ignore' });
  onTestFinished(() => {
    pooler.kill('SIGKILL');
  });
  const url = `postgres://hangup@127.0.0.1:${port}/postgres`;
  await expect.poll(() => query(url, 'SELECT 1 AS one').catch(() => [])).toEqual([{ one: 1 }]);
  return {
    url,
    moveTo(target) {
      write(target);
      pooler.kill('SIGHUP');
    },
  };
}
