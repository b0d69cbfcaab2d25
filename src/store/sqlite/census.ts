import { sql } from 'drizzle-orm';
import { LIVE_STATUSES } from '../../domain/call.ts';
import { OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { LiveCounts } from '../../ports/store.ts';
import { type Database, schemaAge } from './database.ts';

const list = (words: readonly string[]) => sql.raw(words.map((word) => `'${word}'`).join(', '));
/** A column for each word: how many rows have it. */
const countEach = (column: string, words: readonly string[]) =>
  sql.raw(words.map((word) => `count(*) FILTER (WHERE ${column} = '${word}') AS ${word}`).join(', '));

const INCOMPLETE = [...OPEN_DELETION_STATES, 'discarded'] as const;

/**
 * Reads the partial indexes that hold the live calls and the incomplete deletions alone. They are named, because
 * SQLite would rather scan a whole covering index, which holds every call there ever was.
 */
export function census(db: Database): LiveCounts {
  const liveCalls = db.get<LiveCounts['liveCalls']>(sql`
    SELECT ${countEach('status', LIVE_STATUSES)} FROM calls INDEXED BY calls_live_room_name
    WHERE status IN (${list(LIVE_STATUSES)})`);
  const { oldest, ...openDeletions } = db.get<LiveCounts['openDeletions'] & { oldest: number | null }>(sql`
    SELECT ${countEach('state', INCOMPLETE)},
      min(created_at) FILTER (WHERE state IN (${list(OPEN_DELETION_STATES)})) AS oldest
    FROM room_deletions INDEXED BY room_deletions_incomplete_room_name WHERE state <> 'completed'`);
  return { liveCalls, openDeletions, oldestOpenDeletionAt: oldest };
}

/** Commits a write: what is rolled back never reaches a full disk. The number in the file's header is nobody's. */
export function probe({ $client: client }: Database): { isSchemaCurrent: boolean } {
  return client
    .transaction(() => {
      client.pragma(`user_version = ${Number(client.pragma('user_version', { simple: true }))}`);
      return { isSchemaCurrent: schemaAge(client) === 'current' };
    })
    .immediate();
}
