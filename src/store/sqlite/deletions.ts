import { and, asc, count, eq, gt, inArray, lte, or, sql } from 'drizzle-orm';
import type { AttemptResult } from '../../domain/leased-task.ts';
import { type DeletionState, OPEN_DELETION_STATES, type RoomDeletion } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { prepared } from './prepared.ts';
import { toDeletion } from './rows.ts';
import { auditLog, calls, roomDeletions } from './schema.ts';

// Written out as in the index, or SQLite does not see that the partial index holds every row that is asked for.
const isOpen = sql`${roomDeletions.state} IN (${sql.raw(OPEN_DELETION_STATES.map((state) => `'${state}'`).join(', '))})`;

const { placeholder } = sql;

/** What a pass runs again and again. */
const statements = prepared((db) => ({
  due: db
    .select({ callId: roomDeletions.callId })
    .from(roomDeletions)
    .where(
      and(
        isOpen,
        or(
          lte(roomDeletions.scheduledAt, placeholder('now')),
          gt(roomDeletions.scheduledAt, placeholder('farthest')),
        ),
      ),
    )
    .orderBy(asc(roomDeletions.scheduledAt))
    .limit(placeholder('limit'))
    .prepare(),
  next: db
    .select({ at: roomDeletions.scheduledAt })
    .from(roomDeletions)
    .where(isOpen)
    .orderBy(asc(roomDeletions.scheduledAt))
    .limit(1)
    .prepare(),
}));

export function claimDeletions(
  db: Database,
  { now, leaseUntil, farthest, limit }: Parameters<Store['claimDeletions']>[0],
): RoomDeletion[] {
  return db.transaction(
    (tx) => {
      const due = statements(db).due.all({ now, farthest, limit });
      if (due.length === 0) return [];
      return tx
        .update(roomDeletions)
        .set({
          state: 'running',
          attempt: sql`${roomDeletions.attempt} + 1`,
          scheduledAt: leaseUntil,
          attemptedAt: now,
        })
        .where(
          inArray(
            roomDeletions.callId,
            due.map(({ callId }) => callId),
          ),
        )
        .returning()
        .all()
        .map(toDeletion);
    },
    { behavior: 'immediate' },
  );
}

export function settleDeletion(
  db: Database,
  { callId, attempt, settlement, wasRescued, keptBecause, now }: Parameters<Store['settleDeletion']>[0],
): boolean {
  return db.transaction(
    (tx) => {
      const { changes } = tx
        .update(roomDeletions)
        .set(settledColumns(settlement, now))
        .where(
          and(
            eq(roomDeletions.callId, callId),
            eq(roomDeletions.state, 'running'),
            eq(roomDeletions.attempt, attempt),
          ),
        )
        .run();
      const settled = changes === 1;
      const audit = { callId, actor: 'reconciler', now } as const;
      // Also when the lease was lost: it was done.
      if (wasRescued)
        write(tx, { ...audit, action: 'call.room_rescued', reason: 'taken over from a dead node' });
      if (settled && keptBecause !== null)
        write(tx, { ...audit, action: 'call.room_kept', reason: keptBecause });
      if (settled && settlement.state === 'discarded') {
        write(tx, { ...audit, action: 'call.room_deletion_discarded', reason: settlement.lastError });
      }
      return settled;
    },
    { behavior: 'immediate' },
  );
}

function settledColumns(settlement: AttemptResult, now: Timestamp) {
  if (settlement.state !== 'retryable') return { ...settlement, finalizedAt: now };
  const { retryAfterMs, ...columns } = settlement;
  return { ...columns, scheduledAt: now + retryAfterMs, finalizedAt: null };
}

export function listDeletions(
  db: Database,
  { states, limit }: { states: readonly DeletionState[]; limit: number },
): RoomDeletion[] {
  return (
    db
      .select()
      .from(roomDeletions)
      // Said twice, so that SQLite sees that a partial index holds them all.
      .where(and(sql`${roomDeletions.state} <> 'completed'`, inArray(roomDeletions.state, [...states])))
      .orderBy(asc(roomDeletions.createdAt), asc(roomDeletions.callId))
      .limit(limit)
      .all()
      .map(toDeletion)
  );
}

export function countOpenDeletions(db: Database): number {
  return db.select({ n: count() }).from(roomDeletions).where(isOpen).get()?.n ?? 0;
}

export function retryDeletion(
  db: Database,
  { callId, now }: { callId: string; now: Timestamp },
): DeletionState | null {
  return db.transaction(
    (tx) => {
      const found = tx.select().from(roomDeletions).where(eq(roomDeletions.callId, callId)).get();
      if (found === undefined || found.state === 'completed') return found?.state ?? null;
      tx.update(roomDeletions)
        .set({ state: 'available', attempt: 0, scheduledAt: now, finalizedAt: null, createdAt: now })
        .where(eq(roomDeletions.callId, callId))
        .run();
      const reason = `it was ${found.state}`;
      write(tx, { callId, actor: 'operator', action: 'call.room_deletion_reopened', reason, now });
      return found.state;
    },
    { behavior: 'immediate' },
  );
}

function write(
  tx: Pick<Database, 'select' | 'insert'>,
  {
    callId,
    now,
    ...entry
  }: { callId: string; now: Timestamp } & Pick<typeof auditLog.$inferInsert, 'actor' | 'action' | 'reason'>,
): void {
  const call = tx
    .select({ organizationId: calls.organizationId })
    .from(calls)
    .where(eq(calls.id, callId))
    .get();
  if (call === undefined) throw new Error(`there is no call ${callId}`);
  tx.insert(auditLog)
    .values({ at: now, organizationId: call.organizationId, subjectId: callId, ...entry })
    .run();
}

export function nextDeletionAt(db: Database): Timestamp | null {
  return statements(db).next.get()?.at ?? null;
}
