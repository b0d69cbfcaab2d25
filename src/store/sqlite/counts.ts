import { sql } from 'drizzle-orm';
import { LIVE_STATUSES } from '../../domain/call-status.ts';
import { OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { LiveCounts } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { sqlList } from './schema.ts';

/** Returns a column for each value, with the number of rows that have the value. */
const countByValue = (column: string, values: readonly string[]) =>
  sql.raw(values.map((value) => `count(*) FILTER (WHERE ${column} = '${value}') AS ${value}`).join(', '));

const INCOMPLETE_STATES = [...OPEN_DELETION_STATES, 'discarded'] as const;

/**
 * Counts live calls and incomplete deletions. INDEXED BY names the partial indexes, which have only these rows: SQLite
 * would scan a covering index of every call.
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
