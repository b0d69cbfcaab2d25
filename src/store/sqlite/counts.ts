import { sql } from 'drizzle-orm';
import { LIVE_STATUSES } from '../../domain/call.ts';
import { OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { LiveCounts } from '../../ports/store.ts';
import type { Database } from './database.ts';

const sqlList = (words: readonly string[]) => sql.raw(words.map((word) => `'${word}'`).join(', '));
/** A column for each word, with the number of rows that have the word. */
const countByValue = (column: string, words: readonly string[]) =>
  sql.raw(words.map((word) => `count(*) FILTER (WHERE ${column} = '${word}') AS ${word}`).join(', '));

const INCOMPLETE_STATES = [...OPEN_DELETION_STATES, 'discarded'] as const;

/**
 * Counts live calls and incomplete deletions by the partial indexes that hold these alone. The indexes are named, because
 * SQLite would scan a complete covering index, which holds every call.
 */
export function countLive(db: Database): LiveCounts {
  const liveCalls = db.get<LiveCounts['liveCalls']>(sql`
    SELECT ${countByValue('status', LIVE_STATUSES)} FROM calls INDEXED BY calls_live_room_name
    WHERE status IN (${sqlList(LIVE_STATUSES)})`);
  const { oldest, ...openDeletions } = db.get<LiveCounts['openDeletions'] & { oldest: number | null }>(sql`
    SELECT ${countByValue('state', INCOMPLETE_STATES)},
      min(created_at) FILTER (WHERE state IN (${sqlList(OPEN_DELETION_STATES)})) AS oldest
    FROM room_deletions INDEXED BY room_deletions_incomplete_room_name WHERE state <> 'completed'`);
  return { liveCalls, openDeletions, oldestOpenDeletionAt: oldest };
}
