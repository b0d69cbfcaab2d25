import { and, asc, eq, gt, inArray, lte, or, sql } from 'drizzle-orm';
import type { Store } from '../domain/ports.ts';
import { OPEN_DELETION_STATES, type RoomDeletion } from '../domain/room-deletion.ts';
import type { Timestamp } from '../domain/time.ts';
import type { Database } from './database.ts';
import { toDeletion } from './rows.ts';
import { roomDeletions } from './schema.ts';

// Written out as in the index, or SQLite does not see that the partial index holds every row that is asked for.
const isOpen = sql`${roomDeletions.state} IN (${sql.raw(OPEN_DELETION_STATES.map((state) => `'${state}'`).join(', '))})`;

export function claimDeletions(
  db: Database,
  { now, leaseUntil, farthest, limit }: Parameters<Store['claimDeletions']>[0],
): RoomDeletion[] {
  return db.transaction(
    (tx) => {
      const due = tx
        .select({ callId: roomDeletions.callId })
        .from(roomDeletions)
        .where(and(isOpen, or(lte(roomDeletions.scheduledAt, now), gt(roomDeletions.scheduledAt, farthest))))
        .orderBy(asc(roomDeletions.scheduledAt))
        .limit(limit)
        .all();
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
  { callId, attempt, settlement, now }: Parameters<Store['settleDeletion']>[0],
): boolean {
  const { changes } = db
    .update(roomDeletions)
    .set({ ...settlement, finalizedAt: settlement.state === 'retryable' ? null : now })
    .where(
      and(
        eq(roomDeletions.callId, callId),
        eq(roomDeletions.state, 'running'),
        eq(roomDeletions.attempt, attempt),
      ),
    )
    .run();
  return changes === 1;
}

export function nextDeletionAt(db: Database): Timestamp | null {
  const next = db
    .select({ at: roomDeletions.scheduledAt })
    .from(roomDeletions)
    .where(isOpen)
    .orderBy(asc(roomDeletions.scheduledAt))
    .limit(1)
    .get();
  return next?.at ?? null;
}
