import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { query, startPostgresServer } from '../../test/harness/postgres-server.ts';
import type { Bench } from './context.ts';
import { createApiKey, type Database } from './hangup.ts';

const COUNT_TIMEOUT_MS = 120_000;
const COUNT_POLL_MS = 20;

/** The server has no core of its own: its processes run on the cores of hangup and of the load. */
const SETTINGS = { shared_buffers: '256MB', max_wal_size: '2GB', max_connections: '200' };

export interface PostgresDatabase extends Database {
  readonly url: string;
}

export interface PostgresServer {
  /** Creates an empty database, and returns its URL. */
  create(name: string): Promise<string>;
  /** Creates a database of hangup with an organization and its API key. */
  createForHangup(name: string): Promise<PostgresDatabase>;
}

/** Starts a server with its own data folder. */
export async function startPostgres({ folder, resources, hangup }: Bench): Promise<PostgresServer> {
  const server = await startPostgresServer(join(folder, 'postgres'), SETTINGS);
  resources.defer(() => server.stop());
  const create = async (name: string) => {
    await query(server.url, `CREATE DATABASE ${name}`);
    const url = new URL(server.url);
    url.pathname = `/${name}`;
    return url.href;
  };
  return {
    create,
    async createForHangup(name) {
      const url = await create(name);
      const apiKey = createApiKey(hangup, url);
      const [organization] = await query<{ id: string }>(url, 'SELECT id FROM organizations');
      if (organization === undefined) throw new Error(`the database ${name} has no organization`);
      return { url, apiKey, organizationId: organization.id, file: join(folder, name) };
    },
  };
}

/** Adds calls that are registered, whose rooms LiveKit has not started. */
export async function seedPostgresCalls(
  { url, organizationId }: PostgresDatabase,
  prefix: string,
  count: number,
): Promise<void> {
  const now = Date.now();
  await query(
    url,
    `INSERT INTO calls (id, organization_id, status, direction, phone_number, agent_id, agent_name, contact_name,
      room_name, metadata, created_at, updated_at)
    SELECT id, $1, 'initiated', CASE WHEN i % 10 < 7 THEN 'outbound' ELSE 'inbound' END,
      '+1555' || lpad((i::bigint * 104729 % 1000000)::text, 7, '0'), 'agent_' || (i::bigint * 7919 % 500), 'Reception',
      'Ada Lovelace', id, json_build_object('campaign', i % 100), $2::bigint + i, $2::bigint + i
    FROM (SELECT i, $3 || '_' || lpad(i::text, 8, '0') AS id FROM generate_series(0, $4::int - 1) AS i) AS ids`,
    [organizationId, now - count, prefix, count],
  );
  await query(url, 'ANALYZE');
  await query(url, 'CHECKPOINT');
}

/** @throws unless a query of one number returns the expected number within 2 minutes */
export async function expectRows(url: string, sql: string, expected: number): Promise<void> {
  const endAt = performance.now() + COUNT_TIMEOUT_MS;
  let found = await countRows(url, sql);
  while (found !== expected && performance.now() < endAt) {
    await sleep(COUNT_POLL_MS);
    found = await countRows(url, sql);
  }
  if (found !== expected) throw new Error(`expected ${expected}, found ${found}: ${sql}`);
}

async function countRows(url: string, sql: string): Promise<number> {
  const [row] = await query<{ count: string }>(url, sql);
  return Number(row?.count);
}
