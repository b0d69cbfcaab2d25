import { LIVE_STATUSES } from '../../domain/call-status.ts';
import { OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import { type LiveCounts, ROOM_AGES, type RoomAge } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';

/** Returns a column for each value, with the number of rows that have the value. */
const countByValue = (column: string, values: readonly string[]) =>
  values.map((value) => `count(*) FILTER (WHERE ${column} = '${value}') AS ${value}`).join(', ');

const INCOMPLETE_STATES = [...OPEN_DELETION_STATES, 'discarded'] as const;

/** The deletion of a cancelled call is created at the cancel. */
const AGE_CONDITIONS: Readonly<Record<RoomAge, string>> = {
  under_1m: 'created_at > @now - 60000',
  '1m_to_10m': 'created_at <= @now - 60000 AND created_at > @now - 600000',
  over_10m: 'created_at <= @now - 600000',
};

const ROOM_STATES = ['pending', 'discarded'] as const;
type RoomColumn = `${(typeof ROOM_STATES)[number]}_${RoomAge}`;
const STATE_CONDITIONS = { pending: 'finalized_at IS NULL', discarded: "state = 'discarded'" } as const;

/** Columns with the numbers of rooms of cancellations, by state and age. */
const roomColumns = ROOM_STATES.flatMap((state) =>
  ROOM_AGES.map(
    (age) => `count(*) FILTER (WHERE cancellation_id IS NOT NULL AND ${STATE_CONDITIONS[state]}
      AND ${AGE_CONDITIONS[age]}) AS "${state}_${age}"`,
  ),
).join(', ');

type DeletionCounts = LiveCounts['openDeletions'] & { readonly oldest: number | null } & {
  readonly [Column in RoomColumn]: number;
};

/*
 * INDEXED BY names the partial indexes, which have live calls, incomplete deletions, running cancellations and active holds
 * only: SQLite would scan a covering index of every call.
 */
const statements = preparePerConnection(({ $client: client }) => ({
  liveCalls: client.prepare<[], LiveCounts['liveCalls']>(`
    SELECT ${countByValue('status', LIVE_STATUSES)} FROM calls INDEXED BY calls_live_room_name
    WHERE ended_at IS NULL`),
  openDeletions: client.prepare<[{ now: Timestamp }], DeletionCounts>(`
    SELECT ${countByValue('state', INCOMPLETE_STATES)},
      min(created_at) FILTER (WHERE finalized_at IS NULL) AS oldest, ${roomColumns}
    FROM room_deletions INDEXED BY room_deletions_incomplete_room_name WHERE state <> 'completed'`),
  running: client.prepare<[], { n: number; oldest: number | null }>(`
    SELECT count(*) AS n, min(created_at) AS oldest FROM cancellations INDEXED BY cancellations_running
    WHERE state = 'running'`),
  holds: client
    .prepare<[], number>(`
      SELECT count(*) FROM cancellations INDEXED BY cancellations_with_active_hold WHERE hold_state = 'active'`)
    .pluck(),
}));

/** Counts live calls, incomplete deletions, running cancellations with their rooms, and active holds. */
export function countLive(db: Database, now: Timestamp): LiveCounts {
  const { liveCalls, openDeletions, running, holds } = statements(db);
  const live = liveCalls.get();
  const open = openDeletions.get({ now });
  const cancellations = running.get();
  const activeHolds = holds.get();
  if (live === undefined || open === undefined || cancellations === undefined || activeHolds === undefined) {
    throw new Error('a count returned no row');
  }
  const { available, running: started, retryable, discarded } = open;
  const roomsByAge = (state: (typeof ROOM_STATES)[number]) => ({
    under_1m: open[`${state}_under_1m`],
    '1m_to_10m': open[`${state}_1m_to_10m`],
    over_10m: open[`${state}_over_10m`],
  });
  return {
    liveCalls: live,
    openDeletions: { available, running: started, retryable, discarded },
    oldestOpenDeletionAt: open.oldest,
    cancellations: {
      running: cancellations.n,
      oldestRunningAt: cancellations.oldest,
      activeHolds,
      rooms: { pending: roomsByAge('pending'), discarded: roomsByAge('discarded') },
    },
  };
}
