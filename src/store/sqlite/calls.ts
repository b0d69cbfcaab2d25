import { and, desc, eq, ne, sql } from 'drizzle-orm';
import { type Call, isLive } from '../../domain/call.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { CallRecord, CancelInput, CancelResult } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { recallAnswer, rememberAnswer } from './idempotency.ts';
import { prepared } from './prepared.ts';
import { toCall, toDeletion } from './rows.ts';
import { auditLog, calls, IS_LIVE, roomDeletions } from './schema.ts';

type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0];

const { placeholder } = sql;

/** What a registration asks. */
const statements = prepared((db) => ({
  sameId: db
    .select({ id: calls.id })
    .from(calls)
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
  liveIn: db
    .select({ id: calls.id })
    .from(calls)
    .where(and(eq(calls.roomName, placeholder('roomName')), sql.raw(IS_LIVE)))
    .prepare(),
  incompleteDeletionIn: db
    .select({ id: roomDeletions.callId })
    .from(roomDeletions)
    .where(and(eq(roomDeletions.roomName, placeholder('roomName')), ne(roomDeletions.state, 'completed')))
    .prepare(),
  lastIn: db
    .select({ createdAt: calls.createdAt })
    .from(calls)
    .where(eq(calls.roomName, placeholder('roomName')))
    .orderBy(desc(calls.createdAt))
    .limit(1)
    .prepare(),
}));

export function createCall(
  db: Database,
  { call, apiKeyId }: { call: Call; apiKeyId: string | null },
): 'created' | 'id_taken' | 'room_name_taken' {
  return db.transaction(
    (tx) => {
      if (statements(db).sameId.get({ id: call.id }) !== undefined) return 'id_taken';
      if (isRoomNameTaken(db, call.roomName)) return 'room_name_taken';
      tx.insert(calls)
        .values({ ...call, createdAt: behindTheLastIn(db, call), metadata: { ...call.metadata } })
        .run();
      tx.insert(auditLog)
        .values({
          at: call.createdAt,
          organizationId: call.organizationId,
          action: 'call.created',
          actor: apiKeyId === null ? 'operator' : 'api_key',
          actorId: apiKeyId,
          subjectId: call.id,
          toStatus: call.status,
        })
        .run();
      return 'created';
    },
    { behavior: 'immediate' },
  );
}

/** Of the calls in a room the newest is the one that counts; a clock set back must not make it look older. */
export function behindTheLastIn(
  db: Database,
  { roomName, createdAt }: Pick<Call, 'roomName' | 'createdAt'>,
): Timestamp {
  const last = statements(db).lastIn.get({ roomName });
  return last === undefined ? createdAt : Math.max(createdAt, last.createdAt + 1);
}

/** A live call is in the room, or a deletion that would kill a new call's room is not complete. */
function isRoomNameTaken(db: Database, roomName: string): boolean {
  const { liveIn, incompleteDeletionIn } = statements(db);
  return liveIn.get({ roomName }) !== undefined || incompleteDeletionIn.get({ roomName }) !== undefined;
}

export function findCall(db: Database, id: string): CallRecord | null {
  const row = db
    .select()
    .from(calls)
    .leftJoin(roomDeletions, eq(roomDeletions.callId, calls.id))
    .where(eq(calls.id, id))
    .get();
  if (row === undefined) return null;
  return {
    call: toCall(row.calls),
    deletion: row.room_deletions === null ? null : toDeletion(row.room_deletions),
  };
}

export function cancelCall(db: Database, input: CancelInput): CancelResult {
  return db.transaction(
    (tx) => {
      const earlier = recallAnswer(tx, input);
      if (earlier !== null) return earlier;
      const row = tx
        .select()
        .from(calls)
        .where(and(eq(calls.id, input.callId), eq(calls.organizationId, input.organizationId)))
        .get();
      if (row === undefined) return { kind: 'not_found' };
      if (!isLive(row.status)) {
        rememberAnswer(tx, input, row.status);
        return { kind: 'not_live', status: row.status };
      }
      rememberAnswer(tx, input, null);
      return { kind: 'cancelled', deletion: cancel(tx, toCall(row), input) };
    },
    { behavior: 'immediate' },
  );
}

function cancel(tx: Transaction, call: Call, { now, leaseUntil, apiKeyId, reason }: CancelInput) {
  // A clock set back must not end a call before it began.
  const endedAt = Math.max(now, call.createdAt, call.startedAt ?? 0, call.answeredAt ?? 0);
  tx.update(calls)
    .set({
      status: 'cancelled',
      endedAt,
      cancelledBy: apiKeyId,
      cancelReason: reason,
      reviewAt: null,
      hasUnansweredPhone: 0,
      updatedAt: endedAt,
    })
    .where(eq(calls.id, call.id))
    .run();
  const deletion = tx
    .insert(roomDeletions)
    .values({
      callId: call.id,
      roomName: call.roomName,
      state: 'running',
      attempt: 1,
      scheduledAt: leaseUntil,
      attemptedAt: now,
      createdAt: now,
    })
    .returning()
    .get();
  tx.insert(auditLog)
    .values({
      at: now,
      organizationId: call.organizationId,
      action: 'call.status_changed',
      actor: 'api_key',
      actorId: apiKeyId,
      subjectId: call.id,
      fromStatus: call.status,
      toStatus: 'cancelled',
      reason,
    })
    .run();
  return toDeletion(deletion);
}
