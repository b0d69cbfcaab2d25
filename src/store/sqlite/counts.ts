import { LIVE_STATUSES } from '../../domain/call-status.ts';
import { OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { LiveCounts } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';

/** Returns a column for each value, with the number of rows that have the value. */
const countByValue = (column: string, values: readonly string[]) =>
  values.map((value) => `count(*) FILTER (WHERE ${column} = '${value}') AS ${value}`).join(', ');

const INCOMPLETE_STATES = [...OPEN_DELETION_STATES, 'discarded'] as const;

/*
 * INDEXED BY names the partial indexes, which have live calls and incomplete deletions only: SQLite would scan a covering
 * index of every call.
 */
const statements = preparePerConnection(({ $client: client }) => ({
  liveCalls: client.prepare<[], LiveCounts['liveCalls']>(`
    SELECT ${countByValue('status', LIVE_STATUSES)} FROM calls INDEXED BY calls_live_room_name
    WHERE ended_at IS NULL`),
  openDeletions: client.prepare<[], LiveCounts['openDeletions'] & { oldest: number | null }>(`
    SELECT ${countByValue('state', INCOMPLETE_STATES)},
      min(created_at) FILTER (WHERE finalized_at IS NULL) AS oldest
    FROM room_deletions INDEXED BY room_deletions_incomplete_room_name WHERE state <> 'completed'`),
}));

/** Counts live calls and incomplete deletions. */
export function countLive(db: Database): LiveCounts {
  const { liveCalls, openDeletions } = statements(db);
  const live = liveCalls.get();
  const open = openDeletions.get();
  if (live === undefined || open === undefined) throw new Error('a count returned no row');
  const { oldest, ...counts } = open;
  return { liveCalls: live, openDeletions: counts, oldestOpenDeletionAt: oldest };
}
