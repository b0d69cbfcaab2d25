import { and, asc, count, eq, sql } from 'drizzle-orm';
import type { Cause } from '../../domain/audit.ts';
import type { Call } from '../../domain/call.ts';
import type { CallStatus } from '../../domain/call-status.ts';
import { MAX_TIME_DIFFERENCE_MS, settleLease } from '../../domain/leased-task.ts';
import type { DeletionState, RoomDeletion } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { ClaimedDeletion, Store } from '../../ports/store.ts';
import { deletionEvent, type NewAuditEvent } from './audit.ts';
import { updateRows } from './bulk.ts';
import type { Database } from './database.ts';
import { DELETION_LIST, type DeletionRow, deletionsOfCalls } from './deletion-rows.ts';
import { CALL, DELETION } from './rows.ts';
import { calls, IS_INCOMPLETE, IS_OPEN, roomDeletions } from './schema.ts';
import { build, isAnyOf, placeholder, prepareRows, prepareSql, type Session } from './session.ts';
import { decideInTransaction, type Transaction, transaction } from './transaction.ts';

/** The deletions that are due by $1 or after $2, at most $3, locked. Another worker skips them. */
const due = (condition: string) => `
  SELECT * FROM (
    SELECT call_id, scheduled_at FROM room_deletions
    WHERE finalized_at IS NULL AND ${condition} AND scheduled_at <= $1
    ORDER BY scheduled_at LIMIT $3 FOR UPDATE SKIP LOCKED
  ) AS early
  UNION ALL SELECT * FROM (
    SELECT call_id, scheduled_at FROM room_deletions
    WHERE finalized_at IS NULL AND ${condition} AND scheduled_at > $2
    ORDER BY scheduled_at LIMIT $3 FOR UPDATE SKIP LOCKED
  ) AS late`;

/**
 * Deletions of cancellations of many calls come first. A quarter of a claim is for other deletions, so that the retry of a
 * single cancel does not wait for thousands of rooms.
 */
const claim = prepareSql<ClaimedRow>(`
  WITH of_cancellations AS MATERIALIZED (${due('cancellation_id IS NOT NULL')}),
  of_others AS MATERIALIZED (${due('cancellation_id IS NULL')}),
  others AS MATERIALIZED (
    SELECT call_id, scheduled_at, 2 AS turn FROM of_others ORDER BY scheduled_at
    LIMIT greatest($3 / 4, $3 - (SELECT count(*) FROM of_cancellations))
  ),
  first AS MATERIALIZED (
    SELECT call_id, scheduled_at, 1 AS turn FROM of_cancellations ORDER BY scheduled_at
    LIMIT $3 - (SELECT count(*) FROM others)
  )
  UPDATE room_deletions AS deletions
  SET state = 'running', attempt = attempt + 1, scheduled_at = $4, attempted_at = $1
  FROM (SELECT * FROM first UNION ALL SELECT * FROM others) AS due JOIN calls ON calls.id = due.call_id
  WHERE deletions.call_id = due.call_id
  RETURNING ${DELETION_LIST}, due.turn, due.scheduled_at AS "dueAt", calls.organization_id AS "organizationId",
    calls.status AS "callStatus",
    EXISTS (SELECT 1 FROM adoption_prefixes WHERE starts_with(deletions.room_name, prefix)) AS "isAdoptable"`);

type ClaimedRow = DeletionRow & {
  readonly turn: number;
  readonly dueAt: Timestamp;
  readonly callStatus: CallStatus;
  readonly isAdoptable: boolean;
};

const saveSettled = updateRows(
  roomDeletions,
  ['callId', 'state', 'scheduledAt', 'finalizedAt', 'lastError'],
  'callId',
);
const reopen = prepareSql(`
  UPDATE room_deletions SET state = 'available', attempt = 0, finalized_at = NULL, scheduled_at = $2, created_at = $2
  WHERE call_id = $1`);
const organizationsOfCalls = prepareSql<{ callId: string; organizationId: string }>(
  'SELECT id AS "callId", organization_id AS "organizationId" FROM calls WHERE id = ANY($1::text[])',
);
const inStates = prepareRows(
  build
    .select(DELETION)
    .from(roomDeletions)
    // The first condition follows from the second, and shows Postgres that a partial index holds all of the rows.
    .where(and(IS_INCOMPLETE, isAnyOf(roomDeletions.state, 'states')))
    .orderBy(asc(roomDeletions.createdAt), asc(roomDeletions.callId))
    .limit(placeholder('limit')),
);
const countOpen = prepareRows(
  build
    .select({ n: count().as('n') })
    .from(roomDeletions)
    .where(IS_OPEN),
);
const next = prepareRows(
  build
    .select({ at: sql<Timestamp>`${roomDeletions.scheduledAt}`.as('at') })
    .from(roomDeletions)
    .where(IS_OPEN)
    .orderBy(asc(roomDeletions.scheduledAt))
    .limit(1),
);
const subject = prepareRows(
  build
    .select({
      ...CALL,
      isAdoptable:
        sql<boolean>`EXISTS (SELECT 1 FROM adoption_prefixes WHERE starts_with(${calls.roomName}, prefix))`.as(
          'isAdoptable',
        ),
    })
    .from(calls)
    .where(eq(calls.id, placeholder('id'))),
);

export function claimDeletions(
  db: Database,
  { leaseMs, maxDelayMs, limit }: Parameters<Store['claimDeletions']>[0],
): Promise<ClaimedDeletion[]> {
  return transaction(db, async (tx) => {
    const { now } = tx;
    const late = now + maxDelayMs + MAX_TIME_DIFFERENCE_MS;
    const claimed = await claim.all(tx, [now, late, limit, now + leaseMs]);
    claimed.sort((a, b) => a.turn - b.turn || a.dueAt - b.dueAt);
    for (const row of claimed) tx.appendAudit(deletionEvent(row, now));
    return claimed.map(({ turn: _, dueAt: __, organizationId: ___, ...deletion }) => deletion);
  });
}

export type Settlement = Parameters<Store['settleDeletion']>[0];

/**
 * Ends leases, in one transaction. An attempt that lost its lease changes nothing. Returns the settled deletions in the order
 * of the settlements; null for an attempt that does not hold its lease.
 */
export function settleDeletions(
  db: Database,
  settlements: readonly Settlement[],
): Promise<(RoomDeletion | null)[]> {
  const callIds = settlements.map(({ callId }) => callId);
  const rescued = settlements.flatMap(({ callId, wasRescued }) => (wasRescued ? [callId] : []));
  const load = async (session: Session) => {
    const [rows, organizations] = await Promise.all([
      deletionsOfCalls.lock.all(session, [callIds]),
      rescued.length === 0 ? [] : organizationsOfCalls.all(session, [rescued]),
    ]);
    return { rows, organizations };
  };
  return decideInTransaction(db, db.lane, load, ({ rows, organizations }, now) => {
    const deletions = new Map<string, RoomDeletion>(
      rows.map(({ organizationId: _, ...row }) => [row.callId, row]),
    );
    const organizationIds = new Map(
      [...rows, ...organizations].map(({ callId, organizationId }) => [callId, organizationId]),
    );
    const events: NewAuditEvent[] = [];
    const written = new Set<string>();
    const settle = ({ callId, attempt, settlement, wasRescued, keptBecause }: Settlement) => {
      const organizationId = organizationIds.get(callId);
      const deletion = deletions.get(callId);
      const settled =
        deletion === undefined ? null : settleLease(deletion, { attempt, result: settlement, now });
      if (organizationId === undefined) return null;
      const audit = { at: now, subjectId: callId, actor: 'reconciler', organizationId } as const;
      if (settled !== null) {
        deletions.set(callId, settled);
        written.add(callId);
        events.push(deletionEvent({ ...settled, organizationId }, now));
      }
      // Recorded also if the lease was lost, because the rescue took place.
      if (wasRescued) {
        events.push({ ...audit, action: 'call.room_rescued', reason: 'taken over from a dead node' });
      }
      if (settled === null) return null;
      if (keptBecause !== null) events.push({ ...audit, action: 'call.room_kept', reason: keptBecause });
      if (settlement.state === 'discarded') {
        events.push({ ...audit, action: 'call.room_deletion_discarded', reason: settlement.lastError });
      }
      return settled;
    };
    const result = settlements.map(settle);
    const changed = [...written].flatMap((callId) => deletions.get(callId) ?? []);
    return { result, write: (session) => [saveSettled.run(session, changed)], events };
  });
}

export function listDeletions(
  session: Session,
  { states, limit }: { states: readonly DeletionState[]; limit: number },
): Promise<RoomDeletion[]> {
  return inStates.all(session, { states, limit });
}

export async function countOpenDeletions(session: Session): Promise<number> {
  return (await countOpen.get(session))?.n ?? 0;
}

export function retryDeletion(
  db: Database,
  { callId }: Parameters<Store['retryDeletion']>[0],
): Promise<DeletionState | null> {
  const load = (session: Session) => deletionsOfCalls.lock.get(session, [[callId]]);
  return decideInTransaction(db, db, load, (deletion, now) => {
    if (deletion === undefined || deletion.state === 'completed') {
      return { result: deletion?.state ?? null, write: () => [], events: [] };
    }
    return {
      result: deletion.state,
      write: (session) => [reopen.run(session, [callId, now])],
      events: [reopenedEvent(deletion, { actor: 'operator', actorId: null }, now)],
    };
  });
}

/** Makes an incomplete deletion available, in a transaction that has locked it. Returns the deletion. */
export async function reopenDeletion(
  tx: Transaction,
  deletion: DeletionRow,
  cause: Omit<Cause, 'reason'>,
): Promise<RoomDeletion> {
  const { now } = tx;
  await reopen.run(tx, [deletion.callId, now]);
  tx.appendAudit(reopenedEvent(deletion, cause, now));
  const { organizationId: _, ...reopened } = deletion;
  return { ...reopened, state: 'available', attempt: 0, finalizedAt: null, scheduledAt: now, createdAt: now };
}

const reopenedEvent = (
  { callId, organizationId, state }: DeletionRow,
  cause: Omit<Cause, 'reason'>,
  now: Timestamp,
): NewAuditEvent => ({
  at: now,
  organizationId,
  action: 'call.room_deletion_reopened',
  ...cause,
  subjectId: callId,
  reason: `the deletion was ${state}`,
});

export async function nextDeletionAt(session: Session): Promise<Timestamp | null> {
  return (await next.get(session))?.at ?? null;
}

export async function findDeletionSubject(
  session: Session,
  callId: string,
): Promise<{ call: Call; isAdoptable: boolean } | null> {
  const row = await subject.get(session, { id: callId });
  if (row === undefined) return null;
  const { isAdoptable, ...call } = row;
  return { call, isAdoptable };
}
