import { and, asc, count, eq, sql } from 'drizzle-orm';
import type { Call } from '../../domain/call.ts';
import type { CallStatus } from '../../domain/call-status.ts';
import { isLeasedTo, settleLease } from '../../domain/leased-task.ts';
import type { DeletionState, RoomDeletion } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { ClaimedDeletion, DeletionLease, Store } from '../../ports/store.ts';
import { deletionEvent, type NewAuditEvent } from './audit.ts';
import type { Database } from './database.ts';
import { DELETION_LIST, type DeletionRow, deletionsOfCalls } from './deletion-rows.ts';
import { CALL, DELETION } from './rows.ts';
import { calls, IS_INCOMPLETE, IS_OPEN, roomDeletions } from './schema.ts';
import { build, isAnyOf, placeholder, prepareRows, prepareSql, type Session } from './session.ts';
import { decideInTransaction, transaction } from './transaction.ts';

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

const settle = prepareSql(`
  UPDATE room_deletions SET state = $2, scheduled_at = $3, finalized_at = $4, last_error = $5 WHERE call_id = $1`);
const complete = prepareSql(`
  UPDATE room_deletions SET state = 'completed', finalized_at = $2 WHERE call_id = ANY($1::text[])`);
const reopen = prepareSql(`
  UPDATE room_deletions SET state = 'available', attempt = 0, finalized_at = NULL, scheduled_at = $2, created_at = $2
  WHERE call_id = $1`);
const organizationOfCall = prepareSql<{ id: string }>(
  'SELECT organization_id AS id FROM calls WHERE calls.id = $1',
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
    const claimed = await claim.all(tx, [now, now + maxDelayMs, limit, now + leaseMs]);
    claimed.sort((a, b) => a.turn - b.turn || a.dueAt - b.dueAt);
    for (const row of claimed) tx.appendAudit(deletionEvent(row, now));
    return claimed.map(({ turn: _, dueAt: __, organizationId: ___, ...deletion }) => deletion);
  });
}

/** Ends a lease. An attempt that lost its lease changes nothing. */
export function settleDeletion(
  db: Database,
  { callId, attempt, settlement, wasRescued, keptBecause }: Parameters<Store['settleDeletion']>[0],
): Promise<RoomDeletion | null> {
  return decideInTransaction(db, db, loadDeletion(callId), ({ deletion, organizationId }, now) => {
    const settled =
      deletion === undefined ? null : settleLease(deletion, { attempt, result: settlement, now });
    const events: NewAuditEvent[] = [];
    const append = (action: DeletionAction, reason: string) => {
      if (organizationId === undefined) throw new Error(`call ${callId} does not exist`);
      events.push({ at: now, subjectId: callId, actor: 'reconciler', organizationId, action, reason });
    };
    if (settled !== null) events.push(deletionEvent(settled, now));
    // Recorded also if the lease was lost, because the rescue took place.
    if (wasRescued) append('call.room_rescued', 'taken over from a dead node');
    if (settled === null) return { result: null, write: () => [], events };
    if (keptBecause !== null) append('call.room_kept', keptBecause);
    if (settlement.state === 'discarded') append('call.room_deletion_discarded', settlement.lastError);
    const { state, scheduledAt, finalizedAt, lastError } = settled;
    const write = (session: Session) => [
      settle.run(session, [callId, state, scheduledAt, finalizedAt, lastError]),
    ];
    const { organizationId: _, ...result } = settled;
    return { result, write, events };
  });
}

const loadDeletion = (callId: string) => async (session: Session) => {
  const [[deletion], organization] = await Promise.all([
    deletionsOfCalls.lock.all(session, [[callId]]),
    organizationOfCall.get(session, [callId]),
  ]);
  return { deletion, organizationId: organization?.id };
};

type DeletionAction = 'call.room_rescued' | 'call.room_kept' | 'call.room_deletion_discarded';

/** Returns for each attempt whether it held the lease of its deletion, which is now complete. */
export function completeDeletions(db: Database, leases: readonly DeletionLease[]): Promise<boolean[]> {
  const callIds = leases.map(({ callId }) => callId);
  const load = (session: Session) => deletionsOfCalls.lock.all(session, [callIds]);
  return decideInTransaction(db, db.lane, load, (rows, now) => {
    const found = new Map(rows.map((row) => [row.callId, row]));
    const isHeld = ({ callId, attempt }: DeletionLease) => {
      const deletion = found.get(callId);
      return deletion !== undefined && isLeasedTo(attempt, deletion);
    };
    const held = new Set(leases.filter(isHeld).map(({ callId }) => callId));
    const completed = rows.filter(({ callId }) => held.has(callId));
    return {
      result: leases.map(isHeld),
      write: (session) => (held.size === 0 ? [] : [complete.run(session, [[...held], now])]),
      events: completed.map((row) => deletionEvent({ ...row, state: 'completed' }, now)),
    };
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
  return decideInTransaction(db, db, loadDeletion(callId), ({ deletion, organizationId }, now) => {
    if (deletion === undefined || organizationId === undefined || deletion.state === 'completed') {
      return { result: deletion?.state ?? null, write: () => [], events: [] };
    }
    const event: NewAuditEvent = {
      at: now,
      organizationId,
      action: 'call.room_deletion_reopened',
      actor: 'operator',
      subjectId: callId,
      reason: `the deletion was ${deletion.state}`,
    };
    return {
      result: deletion.state,
      write: (session) => [reopen.run(session, [callId, now])],
      events: [event],
    };
  });
}

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
