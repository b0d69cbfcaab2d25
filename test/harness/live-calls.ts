import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import pg from 'pg';
import { onTestFinished } from 'vitest';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { createApiKey } from '../../src/operations/api-keys/create.ts';
import { systemClock, systemRandom } from '../../src/platform/clock.ts';
import type { DatabaseAddress } from '../../src/platform/database-address.ts';
import { openStore } from '../../src/store/open-store.ts';
import { buildCall } from './calls.ts';
import { type GateRequest, startGate } from './gate.ts';
import { openTestDatabase } from './hangup.ts';
import { freePort } from './ports.ts';
import { serveHangup } from './process.ts';
import { temporaryFolder } from './temporary.ts';

const KEYS = { apiKey: 'devkey', apiSecret: 'secretsecretsecretsecretsecretsecret' };
/** Fewer than may wait for a store. */
const INSERTED_AT_ONCE = 500;

/** Returns a new database: in the folder if one is given, otherwise of the kind that TEST_STORE names. */
async function newDatabase(folder: string | undefined, cwd: string): Promise<DatabaseAddress> {
  const file = join(cwd, 'hangup.db');
  if (folder !== undefined) return { kind: 'sqlite', file };
  const { database, remove } = await openTestDatabase({}, file);
  onTestFinished(remove);
  return database;
}

/**
 * Creates a database with live calls, each with a caller in its room, and the environment to serve it.
 * @param folder of a database of SQLite
 * @param database instead of a new one
 * @param pass holds each request to LiveKit until the promise resolves
 * @param network returns the URL by which hangup reaches the database of Postgres
 */
export async function prepareCalls(
  count: number,
  {
    folder,
    database: given,
    settings = {},
    pass,
    network = async (url) => url,
  }: {
    folder?: string;
    database?: DatabaseAddress;
    settings?: Record<string, string>;
    pass?: (request: GateRequest) => Promise<void>;
    network?: (databaseUrl: string) => Promise<string>;
  } = {},
) {
  const emulator = await startEmulator({ ...KEYS, port: await freePort() });
  onTestFinished(() => emulator.stop());
  const cwd = folder ?? temporaryFolder();
  const database = given ?? (await newDatabase(folder, cwd));
  const store = await openStore(database, { onMigrating: () => {} });
  onTestFinished(async () => store.close());
  const { apiKey, key } = await createApiKey(
    { store, clock: systemClock, random: systemRandom },
    {
      organizationName: 'acme',
      name: 'test',
      scopes: ['calls:read', 'calls:write', 'calls:cancel', 'calls:stop'],
      expiresAt: null,
    },
  );
  const ids = Array.from({ length: count }, (_, i) => `c${i}`);
  for (let start = 0; start < count; start += INSERTED_AT_ONCE) {
    const inserted = ids.slice(start, start + INSERTED_AT_ONCE).map(async (id) => {
      const call = buildCall({ id, organizationId: apiKey.organizationId, status: 'active' });
      await store.changeCall({ kind: 'register', call, apiKeyId: null });
      emulator.join(id, { identity: 'caller' });
    });
    await Promise.all(inserted);
  }
  const env = {
    DATABASE_URL: database.kind === 'sqlite' ? `file:${database.file}` : await network(database.url),
    LIVEKIT_URL: pass === undefined ? emulator.url : await startGate(emulator.url, pass),
    LIVEKIT_API_KEY: KEYS.apiKey,
    LIVEKIT_API_SECRET: KEYS.apiSecret,
    // Short leases: a deletion that a crash interrupted is due when its lease ends.
    LIVEKIT_CANCEL_TIMEOUT_MS: '500',
    LIVEKIT_BACKGROUND_TIMEOUT_MS: '500',
    ...settings,
  };
  return {
    emulator,
    store,
    key,
    ids,
    /** The file of a database of SQLite. */
    file: database.kind === 'sqlite' ? database.file : '',
    env,
    /** Runs SQL on the database, and returns its rows. */
    sql: createReader(database),
    /** Delays all writes, and no read, until the returned function is called. */
    blockWrites: () => blockWrites(database),
    serve: () => serveHangup({ env, cwd }),
  };
}

/** Returns a function that runs SQL on one connection, which its first call opens. */
function createReader(database: DatabaseAddress): (text: string) => Promise<unknown[]> {
  if (database.kind === 'sqlite') {
    let client: SqliteDatabase.Database | undefined;
    onTestFinished(() => {
      client?.close();
    });
    return async (text) => {
      client ??= new SqliteDatabase(database.file, { readonly: true });
      return client.prepare(text).all();
    };
  }
  let client: pg.Client | undefined;
  let connected: Promise<unknown> | undefined;
  onTestFinished(async () => client?.end());
  return async (text) => {
    client ??= new pg.Client(database.url);
    connected ??= client.connect();
    await connected;
    return (await client.query(text)).rows;
  };
}

async function blockWrites(database: DatabaseAddress): Promise<() => Promise<void>> {
  if (database.kind === 'sqlite') {
    const client = new SqliteDatabase(database.file, { timeout: 5_000 });
    client.exec('BEGIN IMMEDIATE');
    return async () => {
      client.close();
    };
  }
  const client = new pg.Client(database.url);
  await client.connect();
  const { rows } = await client.query<{ name: string }>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
  );
  await client.query(`BEGIN; LOCK TABLE ${rows.map(({ name }) => name).join(', ')} IN SHARE MODE`);
  return () => client.end();
}

/** Cancels all calls and returns the ids of those answered with 200 before the process died. */
export async function cancelAll(
  url: string,
  key: string,
  ids: readonly string[],
  onAnswer: () => void = () => {},
): Promise<string[]> {
  const answered = await Promise.all(
    ids.map(async (id) => {
      try {
        const response = await fetch(`${url}/api/v1/calls/${id}`, {
          method: 'DELETE',
          headers: { 'x-api-key': key },
        });
        if (response.status !== 200) return [];
        onAnswer();
        return [id];
      } catch {
        return [];
      }
    }),
  );
  return answered.flat();
}

/** Records that are half written: the status, the deletion and the audit event of a cancel belong to one commit. */
export const HALF_CANCELLED = `
  SELECT id FROM calls
  WHERE (status = 'cancelled') <> EXISTS (SELECT 1 FROM room_deletions WHERE call_id = calls.id)
    OR (status = 'cancelled') <>
      (SELECT count(*) = 1 FROM audit_log WHERE subject_id = calls.id AND to_status = 'cancelled')`;

/** Starts a cancellation of all calls, and returns its id. */
export async function stopAll(url: string, key: string): Promise<string> {
  const response = await fetch(`${url}/api/v1/cancellations`, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify({ all: true, reason: 'test' }),
  });
  if (response.status !== 202) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  const { data } = (await response.json()) as { data: { id: string } };
  return data.id;
}
