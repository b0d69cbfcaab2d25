import { LIVE_STATUSES } from '../../domain/call-status.ts';
import { OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import { type LiveCounts, ROOM_AGES, type RoomAge } from '../../ports/store.ts';
import { nowOf } from './clock.ts';
import { prepareSql, type Session } from './session.ts';

/** Returns a column for each value, with the number of rows that have the value. */
const countByValue = (column: string, values: readonly string[]) =>
  values.map((value) => `count(*) FILTER (WHERE ${column} = '${value}') AS ${value}`).join(', ');

const INCOMPLETE_STATES = [...OPEN_DELETION_STATES, 'discarded'] as const;

/** The deletion of a cancelled call is created at the cancel. */
const AGE_CONDITIONS: Readonly<Record<RoomAge, string>> = {
  under_1m: 'created_at > now - 60000',
  '1m_to_10m': 'created_at <= now - 60000 AND created_at > now - 600000',
  over_10m: 'created_at <= now - 600000',
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

type Row = LiveCounts['liveCalls'] &
  LiveCounts['openDeletions'] & {
    readonly oldestDeletion: Timestamp | null;
    readonly runningCancellations: number;
    readonly oldestRunning: Timestamp | null;
    readonly activeHolds: number;
  } & { readonly [Column in RoomColumn]: number };

/** One statement, so that all counts are of one snapshot. Each condition is that of a partial index. */
const counts = prepareSql<Row>(`
  SELECT * FROM
    (SELECT ${countByValue('status', LIVE_STATUSES)} FROM calls WHERE ended_at IS NULL) AS live,
    (SELECT ${countByValue('state', INCOMPLETE_STATES)},
       min(created_at) FILTER (WHERE finalized_at IS NULL) AS "oldestDeletion", ${roomColumns}
     FROM room_deletions CROSS JOIN (SELECT ${nowOf('$1')} AS now) AS clock WHERE state <> 'completed') AS deletions,
    (SELECT count(*) AS "runningCancellations", min(created_at) AS "oldestRunning"
     FROM cancellations WHERE state = 'running') AS running,
    (SELECT count(*) AS "activeHolds" FROM cancellations WHERE hold_state = 'active') AS holds`);

/**
 * Counts live calls, incomplete deletions, running cancellations with their rooms, and active holds.
 * @param now null: the time of the database
 */
export async function countLive(session: Session, now: Timestamp | null): Promise<LiveCounts> {
  const row = await counts.get(session, [now]);
  if (row === undefined) throw new Error('a count returned no row');
  const { initiated, connecting, ringing, active } = row;
  const { available, running, retryable, discarded } = row;
  const roomsByAge = (state: (typeof ROOM_STATES)[number]) => ({
    under_1m: row[`${state}_under_1m`],
    '1m_to_10m': row[`${state}_1m_to_10m`],
    over_10m: row[`${state}_over_10m`],
  });
  return {
    liveCalls: { initiated, connecting, ringing, active },
    openDeletions: { available, running, retryable, discarded },
    oldestOpenDeletionAt: row.oldestDeletion,
    cancellations: {
      running: row.runningCancellations,
      oldestRunningAt: row.oldestRunning,
      activeHolds: row.activeHolds,
      rooms: { pending: roomsByAge('pending'), discarded: roomsByAge('discarded') },
    },
  };
}
