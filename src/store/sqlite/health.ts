import { and, gt } from 'drizzle-orm';
import { type Database, readSchemaVersion } from './database.ts';
import { calls, IS_LIVE, livekitEvents } from './schema.ts';

/** Writes without effect: a write that is rolled back never reaches a full disk. Nothing uses `user_version`. */
export function checkWritable({ $client: client }: Database): { isSchemaCurrent: boolean } {
  client.pragma(`user_version = ${Number(client.pragma('user_version', { simple: true }))}`);
  return { isSchemaCurrent: readSchemaVersion(client) === 'current' };
}

export function getWebhookActivity(db: Database): { hasEvents: boolean; hasLiveCalls: boolean } {
  const event = db.select({ id: livekitEvents.id }).from(livekitEvents).limit(1).get();
  const live = db
    .select({ id: calls.id })
    .from(calls)
    // By room name, which is never empty: otherwise SQLite searches all calls for a live one.
    .where(and(IS_LIVE, gt(calls.roomName, '')))
    .limit(1)
    .get();
  return { hasEvents: event !== undefined, hasLiveCalls: live !== undefined };
}
