import { and, asc, gt, sql } from 'drizzle-orm';
import { compareSchema, type Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { calls, IS_LIVE, livekitEvents } from './schema.ts';
import { prepareRows } from './statement.ts';

const statements = preparePerConnection((db) => ({
  appliedMigrations: prepareRows(
    db,
    db
      .select({ hash: sql<string>`hash`.as('hash') })
      .from(sql`__drizzle_migrations`)
      .orderBy(asc(sql`id`)),
  ),
  anyEvent: prepareRows(db, db.select({ id: livekitEvents.id }).from(livekitEvents).limit(1)),
  anyLiveCall: prepareRows(
    db,
    db
      .select({ id: calls.id })
      .from(calls)
      // By room name, which is never empty: otherwise SQLite searches all calls for a live one.
      .where(and(IS_LIVE, gt(calls.roomName, '')))
      .limit(1),
  ),
}));

/** Writes without effect: a write that is rolled back never reaches a full disk. Nothing uses `user_version`. */
export function checkWritable(db: Database): { isSchemaCurrent: boolean } {
  const { $client: client } = db;
  client.pragma(`user_version = ${Number(client.pragma('user_version', { simple: true }))}`);
  const applied = statements(db).appliedMigrations.all();
  return { isSchemaCurrent: compareSchema(applied.map(({ hash }) => hash)) === 'current' };
}

export function getWebhookActivity(db: Database): { hasEvents: boolean; hasLiveCalls: boolean } {
  const { anyEvent, anyLiveCall } = statements(db);
  return { hasEvents: anyEvent.get() !== undefined, hasLiveCalls: anyLiveCall.get() !== undefined };
}
