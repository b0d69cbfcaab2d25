import { and, asc, desc, eq, sql } from 'drizzle-orm';
import { type Cancellation, type CancellationCounts, isMatching } from '../../domain/cancellation.ts';
import type { ActiveHold, RunningCancellation } from '../../domain/hold.ts';
import type { DeletionState } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { cancellations, HAS_ACTIVE_HOLD, IS_RUNNING, roomDeletions } from './schema.ts';
import { columnsOf, placeholdersFor, prepareRows, prepareRun, text } from './statement.ts';

export const CANCELLATION = columnsOf(cancellations);
const JSON_COLUMNS = { json: ['selector', 'reportedCounts'] } as const;

export type CancellationRow = typeof cancellations.$inferSelect;

export const rows = preparePerConnection((db) => ({
  byId: prepareRows(
    db,
    db
      .select(CANCELLATION)
      .from(cancellations)
      .where(eq(cancellations.id, text('id'))),
    JSON_COLUMNS,
  ),
  newest: prepareRows(
    db,
    db
      .select(CANCELLATION)
      .from(cancellations)
      .where(
        and(
          eq(cancellations.organizationId, text('organizationId')),
          sql`(${cancellations.createdAt}, ${cancellations.id}) < (${sql.placeholder('createdAt')} + 0, ${text('id')})`,
        ),
      )
      .orderBy(desc(cancellations.createdAt), desc(cancellations.id))
      .limit(sql.placeholder('limit')),
    JSON_COLUMNS,
  ),
  running: prepareRows(
    db,
    db
      .select({ id: CANCELLATION.id })
      .from(cancellations)
      .where(IS_RUNNING)
      .orderBy(asc(cancellations.createdAt)),
  ),
  holds: prepareRows(
    db,
    db
      .select({
        id: CANCELLATION.id,
        organizationId: CANCELLATION.organizationId,
        selector: CANCELLATION.selector,
        reason: CANCELLATION.reason,
        createdBy: CANCELLATION.createdBy,
      })
      .from(cancellations)
      .where(and(HAS_ACTIVE_HOLD, eq(cancellations.organizationId, text('organizationId')))),
    { json: ['selector'] },
  ),
  recording: prepareRows(
    db,
    db
      .select({
        id: CANCELLATION.id,
        organizationId: CANCELLATION.organizationId,
        selector: CANCELLATION.selector,
        reason: CANCELLATION.reason,
        createdBy: CANCELLATION.createdBy,
        phase: CANCELLATION.phase,
        createdAt: CANCELLATION.createdAt,
        holdState: CANCELLATION.holdState,
      })
      .from(cancellations)
      .where(
        and(
          IS_RUNNING,
          // The plus keeps SQLite from the index of all cancellations of the organization.
          sql`+${cancellations.organizationId} = ${text('organizationId')}`,
          // An id matches in every status. Reading 10,000 ids would delay each event.
          sql`substr(${cancellations.selector}, 1, 11) <> '{"callIds":'`,
        ),
      ),
    { json: ['selector'] },
  ),
  insert: prepareRun(db, db.insert(cancellations).values(placeholdersFor(CANCELLATION))),
  advance: prepareRun(
    db,
    db
      .update(cancellations)
      .set(
        placeholdersFor({
          state: true,
          completedAt: true,
          phase: true,
          position: true,
          alreadyEnded: true,
          notFound: true,
          reportedCounts: true,
          reportedAt: true,
        }),
      )
      .where(eq(cancellations.id, sql.placeholder('id'))),
  ),
  liftHold: prepareRun(
    db,
    db
      .update(cancellations)
      .set({ holdState: 'lifted', ...placeholdersFor({ holdLiftedAt: true, holdLiftedBy: true }) })
      .where(eq(cancellations.id, sql.placeholder('id'))),
  ),
  deletionsByState: prepareRows(
    db,
    db
      .select({
        state: sql<DeletionState>`${roomDeletions.state}`.as('state'),
        n: sql<number>`count(*)`.as('n'),
      })
      .from(roomDeletions)
      .where(eq(roomDeletions.cancellationId, text('id')))
      .groupBy(roomDeletions.state),
  ),
}));

/** Returns the active holds of the organizations. A null or undefined organization has none. */
export function listActiveHolds(
  db: Database,
  organizationIds: readonly (string | null | undefined)[],
): ActiveHold[] {
  const ids = new Set(organizationIds);
  return [...ids].flatMap((organizationId) =>
    organizationId == null ? [] : rows(db).holds.all({ organizationId }),
  );
}

/** Returns the running cancellations by filter that still look for matching calls. */
export function listRecordingCancellations(
  db: Database,
  organizationId: string,
  now: Timestamp,
): RunningCancellation[] {
  return rows(db)
    .recording.all({ organizationId })
    .filter((row) => isMatching(row, now));
}

/** Returns the counts as the records are now. */
export function countsOf(db: Database, { id, alreadyEnded, notFound }: CancellationRow): CancellationCounts {
  const rooms = { deleted: 0, pending: 0, discarded: 0 };
  for (const { state, n } of rows(db).deletionsByState.all({ id })) {
    if (state === 'completed') rooms.deleted += n;
    else if (state === 'discarded') rooms.discarded += n;
    else rooms.pending += n;
  }
  // Each call that the cancellation cancelled has one deletion.
  const cancelled = rooms.deleted + rooms.pending + rooms.discarded;
  return { cancelled, alreadyEnded, notFound, rooms };
}

export function toCancellation(db: Database, row: CancellationRow): Cancellation {
  const { holdState, holdLiftedAt, holdLiftedBy } = row;
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
    // Final when completed: an active hold still cancels calls, and pruning removes calls.
    counts: row.state === 'completed' ? row.reportedCounts : countsOf(db, row),
  };
}
