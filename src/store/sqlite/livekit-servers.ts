import { existsSync } from 'node:fs';
import { desc, sql } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import { BUSY_TIMEOUT_MS, type Database, openSqlite, readSchemaVersion } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { livekitServers } from './schema.ts';
import { columnsOf, placeholdersFor, prepareRows, prepareRun } from './statement.ts';

const statements = preparePerConnection((db) => {
  // The latest, also after the clock was set back.
  const lastServedAt = sql`(SELECT max(${sql.placeholder('now')}, coalesce(max(last_served_at), 0) + 1) FROM livekit_servers)`;
  return {
    list: prepareRows(
      db,
      db.select(columnsOf(livekitServers)).from(livekitServers).orderBy(desc(livekitServers.lastServedAt)),
    ),
    record: prepareRun(
      db,
      db
        .insert(livekitServers)
        .values({ ...placeholdersFor({ url: true, firstServedAt: true }), lastServedAt })
        .onConflictDoUpdate({ target: livekitServers.url, set: { lastServedAt } }),
    ),
  };
});

/** Returns the URLs of the LiveKit servers that this database was used with, the latest first. */
export function listLiveKitServers(db: Database): string[] {
  return statements(db)
    .list.all()
    .map(({ url }) => url);
}

/** Records a server as the latest. */
export function recordLiveKitServer(db: Database, { url, now }: { url: string; now: Timestamp }): void {
  statements(db).record.run({ url, firstServedAt: now, now });
}

/**
 * Reads the servers of a database file with this or an older schema, and changes nothing. Before migration 0005 no server
 * was recorded. For such a file with calls outside the demo, the result is `unrecorded`, as in migration 0006.
 * @returns an empty list for an unreadable file: the code that opens the file reports the reason
 */
export function readLiveKitServers(file: string): string[] {
  if (!existsSync(file)) return [];
  try {
    const client = openSqlite(file, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    try {
      if (readSchemaVersion(client) === 'ahead') return [];
      const columns = client.prepare("SELECT name FROM pragma_table_info('livekit_servers')").pluck().all();
      const order = columns.includes('last_served_at') ? 'ORDER BY last_served_at DESC' : '';
      const servers =
        columns.length === 0
          ? []
          : client.prepare<[], string>(`SELECT url FROM livekit_servers ${order}`).pluck().all();
      if (servers.length > 0 || order !== '') return servers;
      return client.prepare<[], string>(UNRECORDED).pluck().all();
    } finally {
      client.close();
    }
  } catch {
    return [];
  }
}

const UNRECORDED = `SELECT 'unrecorded' WHERE EXISTS (
  SELECT 1 FROM calls JOIN organizations ON organizations.id = calls.organization_id WHERE organizations.name <> 'demo')`;
