import { and, asc, count, eq, gt, inArray, lte, or, sql } from 'drizzle-orm';
import type { Call } from '../../domain/call.ts';
import type { AttemptResult } from '../../domain/leased-task.ts';
import type { DeletionState, RoomDeletion } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Store } from '../../ports/store.ts';
import { findAdoptionPrefix } from './adoption.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { toCall, toDeletion } from './rows.ts';
import { calls, IS_INCOMPLETE, IS_OPEN, roomDeletions } from './schema.ts';

const { placeholder } = sql;

const statements = preparePerConnection((db) => ({
  due: db
    .select({ callId: roomDeletions.callId })
    .from(roomDeletions)
    .where(
      and(
        IS_OPEN,
        or(
          lte(roomDeletions.scheduledAt, placeholder('now')),
          gt(roomDeletions.scheduledAt, placeholder('maxScheduledAt')),
        ),
      ),
    )
    .orderBy(asc(roomDeletions.scheduledAt))
    .limit(placeholder('limit'))
    .prepare(),
  next: db
    .select({ at: roomDeletions.scheduledAt })
    .from(roomDeletions)
    .where(IS_OPEN)
    .orderBy(asc(roomDeletions.scheduledAt))
    .limit(1)
    .prepare(),
  callById: db
    .select()
    .from(calls)
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
}));

export function claimDeletions(
  db: Database,
  { leaseMs, maxDelayMs, limit }: Parameters<Store['claimDeletions']>[0],
  now: Timestamp,
): RoomDeletion[] {
  const due = statements(db).due.all({ now, maxScheduledAt: now + maxDelayMs, limit });
  if (due.length === 0) return [];
  const callIds = due.map(({ callId }) => callId);
  return db
    .update(roomDeletions)
    .set({
      state: 'running',
      attempt: sql`${roomDeletions.attempt} + 1`,
      scheduledAt: now + leaseMs,
      attemptedAt: now,
    })
    .where(inArray(roomDeletions.callId, callIds))
    .returning()
    .all()
    .map(toDeletion);
}

/** Ends a lease. State and attempt identify the lease, so an attempt that lost its lease changes nothing. */
export function settleDeletion(
  db: Database,
  { callId, attempt, settlement, wasRescued, keptBecause }: Parameters<Store['settleDeletion']>[0],
  now: Timestamp,
): RoomDeletion | null {
  const [settled] = db
    .update(roomDeletions)
    .set(settledColumns(settlement, now))
    .where(
      and(
        eq(roomDeletions.callId, callId),
        eq(roomDeletions.state, 'running'),
        eq(roomDeletions.attempt, attempt),
      ),
    )
    .returning()
    .all();
  const audit = { at: now, subjectId: callId, actor: 'reconciler' } as const;
  const append = (action: DeletionAction, reason: string) =>
    appendAudit(db, { ...audit, organizationId: organizationOf(db, callId), action, reason });
  // Recorded also if the lease was lost, because the rescue took place.
  if (wasRescued) append('call.room_rescued', 'taken over from a dead node');
  if (settled === undefined) return null;
  if (keptBecause !== null) append('call.room_kept', keptBecause);
  if (settlement.state === 'discarded') append('call.room_deletion_discarded', settlement.lastError);
  return toDeletion(settled);
}

type DeletionAction = 'call.room_rescued' | 'call.room_kept' | 'call.room_deletion_discarded';

function settledColumns(settlement: AttemptResult, now: Timestamp) {
  if (settlement.state !== 'retryable') return { ...settlement, finalizedAt: now };
  const { state, retryAfterMs, lastError } = settlement;
  return { state, scheduledAt: now + retryAfterMs, lastError, finalizedAt: null };
}

export function listDeletions(
  db: Database,
  { states, limit }: { states: readonly DeletionState[]; limit: number },
): RoomDeletion[] {
  return (
    db
      .select()
      .from(roomDeletions)
      // The first condition follows from the second, and shows SQLite that a partial index holds all of the rows.
      .where(and(IS_INCOMPLETE, inArray(roomDeletions.state, [...states])))
      .orderBy(asc(roomDeletions.createdAt), asc(roomDeletions.callId))
      .limit(limit)
      .all()
      .map(toDeletion)
  );
}

export function countOpenDeletions(db: Database): number {
  return db.select({ n: count() }).from(roomDeletions).where(IS_OPEN).get()?.n ?? 0;
}

export function retryDeletion(
  db: Database,
  { callId }: Parameters<Store['retryDeletion']>[0],
  now: Timestamp,
): DeletionState | null {
  const found = db.select().from(roomDeletions).where(eq(roomDeletions.callId, callId)).get();
  if (found === undefined || found.state === 'completed') return found?.state ?? null;
  db.update(roomDeletions)
    .set({ state: 'available', attempt: 0, scheduledAt: now, finalizedAt: null, createdAt: now })
    .where(eq(roomDeletions.callId, callId))
    .run();
  appendAudit(db, {
    at: now,
    organizationId: organizationOf(db, callId),
    action: 'call.room_deletion_reopened',
    actor: 'operator',
    subjectId: callId,
    reason: `the deletion was ${found.state}`,
  });
  return found.state;
}

export function nextDeletionAt(db: Database): Timestamp | null {
  return statements(db).next.get()?.at ?? null;
}

export function findDeletionSubject(
  db: Database,
  callId: string,
): { call: Call; isAdoptable: boolean } | null {
  const row = statements(db).callById.get({ id: callId });
  if (row === undefined) return null;
  return { call: toCall(row), isAdoptable: findAdoptionPrefix(db, row.roomName) !== null };
}

function organizationOf(db: Database, callId: string): string {
  const call = db
    .select({ organizationId: calls.organizationId })
    .from(calls)
    .where(eq(calls.id, callId))
    .get();
  if (call === undefined) throw new Error(`call ${callId} does not exist`);
  return call.organizationId;
}
