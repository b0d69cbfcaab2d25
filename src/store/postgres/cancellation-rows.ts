import { getTableColumns } from 'drizzle-orm';
import type { Cancellation, CancellationCounts } from '../../domain/cancellation.ts';
import type { DeletionState } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import { insertRows, updateRows } from './bulk.ts';
import { cancellations } from './schema.ts';
import { prepareSql, type Session, selectListOf } from './session.ts';

export type CancellationRow = typeof cancellations.$inferSelect;

const CANCELLATION = selectListOf(getTableColumns(cancellations), 'cancellations');

export const byId = prepareSql<CancellationRow>(`SELECT ${CANCELLATION} FROM cancellations WHERE id = $1`);
export const newest = prepareSql<CancellationRow>(`
  SELECT ${CANCELLATION} FROM cancellations WHERE organization_id = $1 AND (created_at, id) < ($2, $3)
  ORDER BY created_at DESC, id DESC LIMIT $4`);
export const running = prepareSql<{ id: string }>(
  `SELECT id FROM cancellations WHERE state = 'running' ORDER BY created_at, id`,
);

export const insertCancellation = insertRows(cancellations, [
  'id',
  'organizationId',
  'state',
  'reason',
  'createdBy',
  'createdAt',
  'completedAt',
  'selector',
  'holdState',
  'holdLiftedAt',
  'holdLiftedBy',
  'phase',
  'position',
  'alreadyEnded',
  'notFound',
  'reportedCounts',
  'reportedAt',
]);
export const saveProgress = updateRows(
  cancellations,
  [
    'id',
    'state',
    'completedAt',
    'phase',
    'position',
    'alreadyEnded',
    'notFound',
    'reportedCounts',
    'reportedAt',
  ],
  'id',
);
export const saveLiftedHold = prepareSql(`
  UPDATE cancellations SET hold_state = 'lifted', hold_lifted_at = $2, hold_lifted_by = $3 WHERE id = $1`);

const deletionsByState = prepareSql<{ id: string; state: DeletionState; n: number }>(`
  SELECT cancellation_id AS id, state, count(*) AS n FROM room_deletions
  WHERE cancellation_id = ANY($1::text[]) GROUP BY cancellation_id, state`);

/** Returns the counts as the records are now. */
export async function countsOf(session: Session, row: CancellationRow): Promise<CancellationCounts> {
  const [counts] = await countEach(session, [row]);
  if (counts === undefined) throw new Error('a cancellation has no counts');
  return counts;
}

async function countEach(session: Session, rows: readonly CancellationRow[]): Promise<CancellationCounts[]> {
  if (rows.length === 0) return [];
  const counted = await deletionsByState.all(session, [rows.map(({ id }) => id)]);
  return rows.map(({ id, alreadyEnded, notFound }) => {
    const rooms = { deleted: 0, pending: 0, discarded: 0 };
    for (const { state, n } of counted.filter((row) => row.id === id)) {
      if (state === 'completed') rooms.deleted += n;
      else if (state === 'discarded') rooms.discarded += n;
      else rooms.pending += n;
    }
    // Each call that the cancellation cancelled has one deletion.
    const cancelled = rooms.deleted + rooms.pending + rooms.discarded;
    return { cancelled, alreadyEnded, notFound, rooms };
  });
}

export async function toCancellations(
  session: Session,
  rows: readonly CancellationRow[],
): Promise<Cancellation[]> {
  // Final when completed: an active hold still cancels calls, and pruning removes calls.
  const isFinal = ({ state }: CancellationRow) => state === 'completed';
  const unfinished = rows.filter((row) => !isFinal(row));
  const counts = new Map<CancellationRow, CancellationCounts>();
  const counted = await countEach(session, unfinished);
  for (const [index, row] of unfinished.entries()) counts.set(row, counted[index] ?? row.reportedCounts);
  return rows.map((row) => toCancellation(row, counts.get(row) ?? row.reportedCounts));
}

export function toCancellation(
  { holdState, holdLiftedAt, holdLiftedBy, ...row }: CancellationRow,
  counts: CancellationCounts,
): Cancellation {
  return {
    id: row.id,
    organizationId: row.organizationId,
    state: row.state,
    reason: row.reason,
    createdBy: row.createdBy,
    createdAt: row.createdAt,
    completedAt: row.completedAt,
    selector: row.selector,
    hold: holdState === null ? null : { state: holdState, liftedAt: holdLiftedAt, liftedBy: holdLiftedBy },
    counts,
  };
}

/** An id and a time after every position of a list, which begins with the newest. */
export const AFTER_ALL = { createdAt: Number.MAX_SAFE_INTEGER as Timestamp, id: '' };
