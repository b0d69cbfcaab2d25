import { and, asc, count, eq, gt, inArray, lte, or, sql } from 'drizzle-orm';
import type { Cause } from '../../domain/audit.ts';
import type { Call } from '../../domain/call.ts';
import type { CallStatus } from '../../domain/call-status.ts';
import { isLeasedTo, MAX_TIME_DIFFERENCE_MS, settleLease } from '../../domain/leased-task.ts';
import type { DeletionState, RoomDeletion } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { ClaimedDeletion, DeletionLease, Store } from '../../ports/store.ts';
import { findAdoptionPrefix, isPrefixOf } from './adoption.ts';
import { appendAudit, appendDeletionEvents } from './audit.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { CALL, CALL_JSON, DELETION } from './rows.ts';
import {
  adoptionPrefixes,
  calls,
  IS_INCOMPLETE,
  IS_OF_CANCELLATION,
  IS_OF_NO_CANCELLATION,
  IS_OPEN,
  roomDeletions,
} from './schema.ts';
import { placeholdersFor, prepareRows, prepareRun, valuesOf } from './statement.ts';

const { placeholder } = sql;

const FACTS = {
  callStatus:
    sql<CallStatus>`(SELECT ${calls.status} FROM ${calls} WHERE ${calls.id} = ${roomDeletions.callId})`.as(
      'callStatus',
    ),
  isAdoptable:
    sql<number>`EXISTS (SELECT 1 FROM ${adoptionPrefixes} WHERE ${isPrefixOf(roomDeletions.roomName)})`.as(
      'isAdoptable',
    ),
};

const isOfCall = eq(roomDeletions.callId, placeholder('callId'));

const isDue = or(
  lte(roomDeletions.scheduledAt, placeholder('now')),
  gt(roomDeletions.scheduledAt, placeholder('maxScheduledAt')),
);

const statements = preparePerConnection((db) => ({
  dueOfCancellations: prepareRows(
    db,
    db
      .select({ callId: sql<string>`${roomDeletions.callId}`.as('callId') })
      .from(roomDeletions)
      .where(and(IS_OPEN, IS_OF_CANCELLATION, isDue))
      .orderBy(asc(roomDeletions.scheduledAt))
      .limit(placeholder('limit')),
  ),
  dueOfOthers: prepareRows(
    db,
    db
      .select({ callId: sql<string>`${roomDeletions.callId}`.as('callId') })
      .from(roomDeletions)
      .where(and(IS_OPEN, IS_OF_NO_CANCELLATION, isDue))
      .orderBy(asc(roomDeletions.scheduledAt))
      .limit(placeholder('limit')),
  ),
  claim: prepareRows(
    db,
    db
      .update(roomDeletions)
      .set({
        state: 'running',
        attempt: sql`${roomDeletions.attempt} + 1`,
        ...placeholdersFor({ scheduledAt: true, attemptedAt: true }),
      })
      .where(inArray(roomDeletions.callId, valuesOf('callIds')))
      .returning({ ...DELETION, ...FACTS }),
  ),
  ofCall: prepareRows(db, db.select(DELETION).from(roomDeletions).where(isOfCall)),
  settle: prepareRun(
    db,
    db
      .update(roomDeletions)
      .set(placeholdersFor({ state: true, scheduledAt: true, finalizedAt: true, lastError: true }))
      .where(isOfCall),
  ),
  leases: prepareRows(
    db,
    db
      .select({
        callId: sql<string>`${roomDeletions.callId}`.as('callId'),
        state: sql<DeletionState>`${roomDeletions.state}`.as('state'),
        attempt: sql<number>`${roomDeletions.attempt}`.as('attempt'),
      })
      .from(roomDeletions)
      .where(inArray(roomDeletions.callId, valuesOf('callIds'))),
  ),
  complete: prepareRun(
    db,
    db
      .update(roomDeletions)
      .set({ state: 'completed', ...placeholdersFor({ finalizedAt: true }) })
      .where(inArray(roomDeletions.callId, valuesOf('callIds'))),
  ),
  reopen: prepareRun(
    db,
    db
      .update(roomDeletions)
      .set({
        state: 'available',
        attempt: 0,
        finalizedAt: null,
        ...placeholdersFor({ scheduledAt: true, createdAt: true }),
      })
      .where(isOfCall),
  ),
  inStates: prepareRows(
    db,
    db
      .select(DELETION)
      .from(roomDeletions)
      // The first condition follows from the second, and shows SQLite that a partial index holds all of the rows.
      .where(and(IS_INCOMPLETE, inArray(roomDeletions.state, valuesOf('states'))))
      .orderBy(asc(roomDeletions.createdAt), asc(roomDeletions.callId))
      .limit(placeholder('limit')),
  ),
  countOpen: prepareRows(
    db,
    db
      .select({ n: count().as('n') })
      .from(roomDeletions)
      .where(IS_OPEN),
  ),
  next: prepareRows(
    db,
    db
      .select({ at: sql<Timestamp>`${roomDeletions.scheduledAt}`.as('at') })
      .from(roomDeletions)
      .where(IS_OPEN)
      .orderBy(asc(roomDeletions.scheduledAt))
      .limit(1),
  ),
  callById: prepareRows(
    db,
    db
      .select(CALL)
      .from(calls)
      .where(eq(calls.id, placeholder('id'))),
    CALL_JSON,
  ),
  organizationOfCall: prepareRows(
    db,
    db
      .select({ id: sql<string>`${calls.organizationId}`.as('id') })
      .from(calls)
      .where(eq(calls.id, placeholder('id'))),
  ),
}));

export function claimDeletions(
  db: Database,
  { leaseMs, maxDelayMs, limit }: Parameters<Store['claimDeletions']>[0],
  now: Timestamp,
): ClaimedDeletion[] {
  const maxScheduledAt = now + maxDelayMs + MAX_TIME_DIFFERENCE_MS;
  const callIds = findDue(db, { now, maxScheduledAt, limit });
  if (callIds.length === 0) return [];
  const claimed = statements(db).claim.all({
    callIds: JSON.stringify(callIds),
    scheduledAt: now + leaseMs,
    attemptedAt: now,
  });
  appendDeletionEvents(db, callIds, now);
  return claimed.map((deletion) => ({ ...deletion, isAdoptable: deletion.isAdoptable === 1 }));
}

/**
 * Deletions of cancellations of many calls come first. A quarter of a claim is for other deletions, so that the retry of a
 * single cancel does not wait for thousands of rooms.
 */
function findDue(db: Database, due: { now: Timestamp; maxScheduledAt: Timestamp; limit: number }): string[] {
  const { limit } = due;
  const first = statements(db).dueOfCancellations.all(due);
  const others = statements(db).dueOfOthers.all(due);
  const share = Math.max(Math.floor(limit / 4), limit - first.length);
  const shared = others.slice(0, share);
  return [...first.slice(0, limit - shared.length), ...shared].map(({ callId }) => callId);
}

/** Ends a lease. An attempt that lost its lease changes nothing. */
export function settleDeletion(
  db: Database,
  { callId, attempt, settlement, wasRescued, keptBecause }: Parameters<Store['settleDeletion']>[0],
  now: Timestamp,
): RoomDeletion | null {
  const deletion = statements(db).ofCall.get({ callId });
  const settled = deletion === undefined ? null : settleLease(deletion, { attempt, result: settlement, now });
  if (settled !== null) {
    const { state, scheduledAt, finalizedAt, lastError } = settled;
    statements(db).settle.run({ callId, state, scheduledAt, finalizedAt, lastError });
    appendDeletionEvents(db, [callId], now);
  }
  const audit = { at: now, subjectId: callId, actor: 'reconciler' } as const;
  const append = (action: DeletionAction, reason: string) =>
    appendAudit(db, { ...audit, organizationId: organizationOf(db, callId), action, reason });
  // Recorded also if the lease was lost, because the rescue took place.
  if (wasRescued) append('call.room_rescued', 'taken over from a dead node');
  if (settled === null) return null;
  if (keptBecause !== null) append('call.room_kept', keptBecause);
  if (settlement.state === 'discarded') append('call.room_deletion_discarded', settlement.lastError);
  return settled;
}

/** Returns for each attempt whether it held the lease of its deletion, which is now complete. */
export function completeDeletions(db: Database, leases: readonly DeletionLease[], now: Timestamp): boolean[] {
  const found = new Map(
    statements(db)
      .leases.all({ callIds: JSON.stringify(leases.map(({ callId }) => callId)) })
      .map((deletion) => [deletion.callId, deletion]),
  );
  const isHeld = ({ callId, attempt }: DeletionLease) => {
    const deletion = found.get(callId);
    return deletion !== undefined && isLeasedTo(attempt, deletion);
  };
  const held = leases.filter(isHeld).map(({ callId }) => callId);
  statements(db).complete.run({ callIds: JSON.stringify(held), finalizedAt: now });
  appendDeletionEvents(db, held, now);
  return leases.map(isHeld);
}

type DeletionAction = 'call.room_rescued' | 'call.room_kept' | 'call.room_deletion_discarded';

export function listDeletions(
  db: Database,
  { states, limit }: { states: readonly DeletionState[]; limit: number },
): RoomDeletion[] {
  return statements(db).inStates.all({ states: JSON.stringify(states), limit });
}

export function countOpenDeletions(db: Database): number {
  return statements(db).countOpen.get()?.n ?? 0;
}

export function retryDeletion(
  db: Database,
  { callId }: Parameters<Store['retryDeletion']>[0],
  now: Timestamp,
): DeletionState | null {
  const found = statements(db).ofCall.get({ callId });
  if (found === undefined || found.state === 'completed') return found?.state ?? null;
  reopenDeletion(db, { callId, actor: 'operator', actorId: null, state: found.state }, now);
  return found.state;
}

/** Makes an incomplete deletion available, and returns it. @param state its state before */
export function reopenDeletion(
  db: Database,
  { callId, actor, actorId, state }: { callId: string; state: DeletionState } & Omit<Cause, 'reason'>,
  now: Timestamp,
): RoomDeletion {
  statements(db).reopen.run({ callId, scheduledAt: now, createdAt: now });
  appendAudit(db, {
    at: now,
    organizationId: organizationOf(db, callId),
    action: 'call.room_deletion_reopened',
    actor,
    actorId,
    subjectId: callId,
    reason: `the deletion was ${state}`,
  });
  const reopened = statements(db).ofCall.get({ callId });
  if (reopened === undefined) throw new Error(`call ${callId} has no deletion`);
  return reopened;
}

export function nextDeletionAt(db: Database): Timestamp | null {
  return statements(db).next.get()?.at ?? null;
}

export function findDeletionSubject(
  db: Database,
  callId: string,
): { call: Call; isAdoptable: boolean } | null {
  const call = statements(db).callById.get({ id: callId });
  if (call === undefined) return null;
  return { call, isAdoptable: findAdoptionPrefix(db, call.roomName) !== null };
}

function organizationOf(db: Database, callId: string): string {
  const organization = statements(db).organizationOfCall.get({ id: callId });
  if (organization === undefined) throw new Error(`call ${callId} does not exist`);
  return organization.id;
}
