import { isLive } from '../../domain/call-status.ts';
import { errorMessage } from '../../domain/errors.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { CallFacts, PostgresFacts, SchemaVersion } from '../../ports/diagnostics.ts';
import type { OnWait } from '../database-error.ts';
import { timeOf } from './clock.ts';
import { countLive } from './counts.ts';
import { connectDatabase, type Database } from './database.ts';
import { ConnectionError } from './errors.ts';
import { listLiveKitServers } from './livekit-servers.ts';
import { isIncompleteCopy, listPendingMigrations, readSchemaVersion } from './migrations.ts';
import { prepareSql } from './session.ts';

/* Reads of a database that can have another schema, or none. They change nothing. */

/** The doctor does not wait for a server that starts. */
const DOCTOR_WAIT_MS = 0;

async function inspect<T>(
  url: string,
  read: (db: Database) => Promise<T>,
  options: { waitMs?: number; onWaiting?: OnWait } = {},
): Promise<T> {
  const db = await connectDatabase({ url, ...options });
  try {
    return await read(db);
  } finally {
    await db.close();
  }
}

/** Compares the schema with this version's, and lists the missing migrations. @throws DatabaseError */
export function inspectSchema(
  url: string,
  options: { onWaiting: OnWait },
): Promise<{ version: SchemaVersion; pending: readonly string[] }> {
  const read = async (db: Database) => {
    const version = await readSchemaVersion(db);
    return { version, pending: version === 'behind' ? await listPendingMigrations(db) : [] };
  };
  return inspect(url, read, options);
}

const hasServers = prepareSql<{ exists: boolean }>(
  `SELECT to_regclass('livekit_servers') IS NOT NULL AS exists`,
);

/** Returns the URLs of the LiveKit servers that the database was used with, the latest first. @throws DatabaseError */
export function readLiveKitServers(url: string, options: { onWaiting: OnWait }): Promise<readonly string[]> {
  const read = async (db: Database) => {
    const { exists = false } = (await hasServers.get(db, [])) ?? {};
    return exists ? listLiveKitServers(db) : [];
  };
  return inspect(url, read, options);
}

const server = prepareSql<{ version: string; synchronousCommit: string; standbys: string }>(`
  SELECT current_setting('server_version') AS version, current_setting('synchronous_commit') AS "synchronousCommit",
    current_setting('synchronous_standby_names') AS standbys`);
const lastWebhook = prepareSql<{ at: Timestamp | null }>('SELECT max(received_at) AS at FROM livekit_events');
const newestStatuses = prepareSql<{ status: Parameters<typeof isLive>[0] | null }>(`
  SELECT newest.status FROM unnest($1::text[]) AS requested (room_name) LEFT JOIN LATERAL (
    SELECT status FROM calls WHERE calls.room_name = requested.room_name ORDER BY created_at DESC, id DESC LIMIT 1
  ) AS newest ON true`);

/** Reads the facts of a database for `hangup doctor`. Never throws. */
export async function inspectPostgres(
  url: string,
  { roomNames }: { roomNames: readonly string[] },
): Promise<PostgresFacts> {
  try {
    return await inspect(
      url,
      async (db) => {
        const settings = await server.get(db, []);
        if (settings === undefined) throw new Error('the server returned no settings');
        const schema = await readSchemaVersion(db);
        const incomplete = await isIncompleteCopy(db);
        const calls = schema === 'current' && !incomplete ? await readCallFacts(db, roomNames) : null;
        return { kind: 'open', schema, isIncompleteCopy: incomplete, ...settings, calls };
      },
      { waitMs: DOCTOR_WAIT_MS },
    );
  } catch (error) {
    // The doctor has a remedy of its own.
    const detail = error instanceof ConnectionError ? error.problem : errorMessage(error);
    return { kind: 'unusable', detail };
  }
}

async function readCallFacts(db: Database, roomNames: readonly string[]): Promise<CallFacts> {
  const rooms = { live: 0, ended: 0, unknown: 0 };
  for (const { status } of await newestStatuses.all(db, [roomNames])) {
    rooms[status === null ? 'unknown' : isLive(status) ? 'live' : 'ended'] += 1;
  }
  return {
    counts: await countLive(db, timeOf(db.clock)),
    lastWebhookAt: (await lastWebhook.get(db, []))?.at ?? null,
    livekitServers: await listLiveKitServers(db),
    rooms,
  };
}
