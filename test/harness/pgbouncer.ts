import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { freePort, POSTGRES_USER, query } from './postgres-server.ts';
import { temporaryFolder } from './temporary.ts';

/** Starts PgBouncer in transaction mode before a server, with at most `connections` connections. Returns its URL. */
export async function startPgBouncer(serverUrl: string, connections: number): Promise<string> {
  const folder = temporaryFolder();
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
postgres = host=127.0.0.1 port=${new URL(serverUrl).port} user=hangup
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
  // PgBouncer does not run as root.
  chmodSync(folder, 0o755);
  const pooler = spawn('pgbouncer', [file], { ...POSTGRES_USER, cwd: '/', stdio: 'ignore' });
  onTestFinished(() => {
    pooler.kill('SIGKILL');
  });
  const url = `postgres://hangup@127.0.0.1:${port}/postgres`;
  await expect.poll(() => query(url, 'SELECT 1 AS one').catch(() => [])).toEqual([{ one: 1 }]);
  return url;
}
