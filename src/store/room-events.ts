import { and, asc, desc, eq, gt, inArray, lt, lte, ne, sql } from 'drizzle-orm';
import { type Applied, applyRoomEvent, carryOut, settleGrace } from '../domain/apply-room-event.ts';
import { type Call, isLive, LIVE_STATUSES, newCall } from '../domain/call.ts';
import type { LiveCall } from '../domain/comparison.ts';
import type { EventInput, EventResult, Store, UnansweredPhone } from '../domain/ports.ts';
import type { EventRoom, RoomEvent } from '../domain/room-event.ts';
import { applySighting, type Sighting } from '../domain/sighting.ts';
import type { Timestamp } from '../domain/time.ts';
import { longestPrefix } from './adoption.ts';
import { behindTheLastIn } from './calls.ts';
import type { Database } from './database.ts';
import { toCall, toDeletion } from './rows.ts';
import {
  auditLog,
  calls,
  graces,
  IS_LIVE,
  IS_UNANSWERED_PHONE,
  livekitEvents,
  roomDeletions,
} from './schema.ts';

type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0];

/** Who did it and why, for the audit log. */
interface By {
  readonly actor: 'livekit' | 'reconciler';
  readonly actorId: string | null;
  readonly reason: string;
}

export function applyEvent(db: Database, { event, policy, now, adoption }: EventInput): EventResult {
  return db.transaction(
    (tx): EventResult => {
      const isNew = tx
        .insert(livekitEvents)
        .values({ id: event.id, receivedAt: now })
        .onConflictDoNothing()
        .run().changes;
      if (isNew === 0) return { kind: 'duplicate' };
      const known = callOf(tx, event, { guardedSince: now - policy.guardMs });
      if (known === 'earlier_life') return { kind: 'unknown_room' };
      const call = known ?? adopt(tx, event, { now, ...adoption });
      if (call === null) return { kind: 'unknown_room' };
      const applied = applyRoomEvent(call, event, { policy, now });
      const by = { actor: 'livekit', actorId: event.id, reason: whyOf(event) } as const;
      const isRoomGone = event.sign.kind === 'room_finished';
      const dueAt = record(tx, call, applied, { by, now, isRoomGone });
      return {
        kind: 'applied',
        callId: call.id,
        wasAdopted: known === null,
        decision: applied.decision,
        dueAt,
      };
    },
    { behavior: 'immediate' },
  );
}

export function applySightingTo(
  db: Database,
  { sighting, policy, now, adoption }: Parameters<Store['applySighting']>[0],
): Extract<EventResult, { kind: 'applied' }> | null {
  return db.transaction(
    (tx) => {
      const known =
        sighting.kind === 'room'
          ? callOf(tx, asSign(sighting.room), { guardedSince: now - policy.guardMs })
          : callById(tx, sighting.callId);
      if (known === 'earlier_life') return null;
      const isAdoptable = sighting.kind === 'room' && adoption !== null && known === null;
      const call = isAdoptable ? adopt(tx, asSign(sighting.room), { now, ...adoption }) : known;
      if (call === null) return null;
      const deletion = tx.select().from(roomDeletions).where(eq(roomDeletions.callId, call.id)).get();
      const applied = applySighting(
        { call, deletion: deletion === undefined ? null : toDeletion(deletion) },
        sighting,
        { policy, now },
      );
      const by = { actor: 'reconciler', actorId: null, reason: REASONS[sighting.kind] } as const;
      const dueAt = record(tx, call, applied, { by, now, isRoomGone: sighting.kind === 'room_absent' });
      return { kind: 'applied', callId: call.id, wasAdopted: isAdoptable, decision: applied.decision, dueAt };
    },
    { behavior: 'immediate' },
  );
}

/** Why, for the audit log. */
const REASONS: Readonly<Record<Sighting['kind'], string>> = {
  room: 'seen in the list of rooms',
  participant: 'seen in the room',
  room_absent: 'its room is gone, and its end was not told',
  phone_absent: 'its phone is gone, and its end was not told',
  never_started: 'no room was ever seen',
};

const asSign = (room: EventRoom): RoomEvent => ({ id: '', at: 0, room, sign: { kind: 'room_started' } });

function callById(tx: Transaction, id: string): Call | null {
  const row = tx.select().from(calls).where(eq(calls.id, id)).get();
  return row === undefined ? null : toCall(row);
}

export function listLiveCalls(db: Database, { after, limit }: { after: string; limit: number }): LiveCall[] {
  const { id, status, roomName, roomId, scheduledAt, createdAt } = calls;
  return db
    .select({ id, status, roomName, roomId, scheduledAt, createdAt })
    .from(calls)
    .where(and(sql.raw(IS_LIVE), gt(roomName, after)))
    .orderBy(asc(roomName))
    .limit(limit)
    .all()
    .flatMap((call) => (isLive(call.status) ? [{ ...call, status: call.status }] : []));
}

export function listUnansweredPhones(
  db: Database,
  { after, limit }: { after: string; limit: number },
): UnansweredPhone[] {
  return db
    .select({
      callId: calls.id,
      roomName: calls.roomName,
      sid: sql<string>`json_extract(${calls.life}, '$.phone.sid')`,
    })
    .from(calls)
    .where(and(sql.raw(IS_UNANSWERED_PHONE), gt(calls.id, after)))
    .orderBy(asc(calls.id))
    .limit(limit)
    .all();
}

export function settleGraces(
  db: Database,
  { now, limit }: { now: Timestamp; limit: number },
): Awaited<ReturnType<Store['settleGraces']>> {
  return db.transaction(
    (tx) => {
      const due = tx
        .select()
        .from(graces)
        .where(lte(graces.dueAt, now))
        .orderBy(asc(graces.dueAt))
        .limit(limit)
        .all();
      const ended = due.flatMap((grace) => {
        // Read one by one: another grace of the same call may just have ended it.
        const row = tx.select().from(calls).where(eq(calls.id, grace.callId)).get();
        if (row === undefined) return [];
        const call = toCall(row);
        const decision = settleGrace(call, grace);
        tx.delete(graces)
          .where(and(eq(graces.callId, call.id), eq(graces.kind, grace.kind), eq(graces.role, grace.role)))
          .run();
        if (decision.kind !== 'end') return [];
        // A phone left alone was on the line until now; who lost the connection was gone from the beginning.
        const at = grace.kind === 'agent_left' ? now : grace.since;
        const by = { actor: 'reconciler', actorId: null, reason: `${grace.kind}: ${grace.reason}` } as const;
        const applied = { decision, life: call.life, cameBack: null, at };
        record(tx, call, applied, { by, now, isRoomGone: false });
        return [{ callId: call.id, status: decision.status }];
      });
      const next = tx.select({ at: graces.dueAt }).from(graces).orderBy(asc(graces.dueAt)).limit(1).get();
      return { ended, nextAt: next?.at ?? null };
    },
    { behavior: 'immediate' },
  );
}

export function pruneEvents(db: Database, { before, limit }: { before: Timestamp; limit: number }): number {
  const old = db
    .select({ id: livekitEvents.id })
    .from(livekitEvents)
    .where(lt(livekitEvents.receivedAt, before))
    .limit(limit);
  return db.delete(livekitEvents).where(inArray(livekitEvents.id, old)).run().changes;
}

export function overview(db: Database): { hasEvents: boolean; hasLiveCalls: boolean } {
  const event = db.select({ id: livekitEvents.id }).from(livekitEvents).limit(1).get();
  const live = db
    .select({ id: calls.id })
    .from(calls)
    .where(inArray(calls.status, [...LIVE_STATUSES]))
    .limit(1)
    .get();
  return { hasEvents: event !== undefined, hasLiveCalls: live !== undefined };
}

/** The live call in the room, else the last one that was; null when there is none whose room is still guarded. */
function callOf(
  tx: Transaction,
  { room, sign }: RoomEvent,
  { guardedSince }: { guardedSince: Timestamp },
): Call | 'earlier_life' | null {
  const rows = tx
    .select()
    .from(calls)
    .where(eq(calls.roomName, room.name))
    .orderBy(desc(calls.createdAt), desc(calls.id))
    .limit(2)
    .all();
  const [last, beforeIt] = rows.map(toCall);
  if (last === undefined) return null;
  // What is told late of the call before must not be taken for the beginning of this one.
  if (last.roomId === null && beforeIt !== undefined) {
    const isEnd = sign.kind !== 'room_started' && sign.kind !== 'participant_joined';
    const isOfThen = room.createdAt !== null && room.createdAt <= (beforeIt.endedAt ?? 0);
    if (beforeIt.roomId === room.sid || (isEnd && isOfThen)) return 'earlier_life';
  }
  if (last.endedAt === null || last.endedAt >= guardedSince) return last;
  const incomplete = tx
    .select({ callId: roomDeletions.callId })
    .from(roomDeletions)
    .where(and(eq(roomDeletions.roomName, room.name), ne(roomDeletions.state, 'completed')))
    .get();
  return incomplete === undefined ? null : last;
}

/** Makes a call of a room that nobody registered, when it begins or somebody joins it. */
function adopt(
  tx: Transaction,
  { room, sign, id: eventId }: RoomEvent,
  { callId, agentId, now }: { callId: string; agentId: string | null; now: Timestamp },
): Call | null {
  if (sign.kind !== 'room_started' && sign.kind !== 'participant_joined') return null;
  const adopting = longestPrefix(tx, room.name);
  if (adopting === null) return null;
  const { prefix, organizationId } = adopting;
  const call = newCall({
    id: callId,
    organizationId,
    roomName: room.name,
    // Until its phone says otherwise: what nobody registered came in.
    direction: 'inbound',
    adoptedPrefix: prefix,
    agentId,
    createdAt: behindTheLastIn(tx, { roomName: room.name, createdAt: Math.min(now, room.createdAt ?? now) }),
  });
  tx.insert(calls)
    .values({ ...call, metadata: { ...call.metadata } })
    .run();
  tx.insert(auditLog)
    .values({
      at: now,
      organizationId,
      action: 'call.created',
      actor: 'livekit',
      actorId: eventId,
      subjectId: callId,
      toStatus: call.status,
      reason: `adopted by the prefix ${prefix}`,
    })
    .run();
  return call;
}

/** Writes down what was decided; returns when the reconciler has something to do for it. */
function record(
  tx: Transaction,
  call: Call,
  applied: Applied,
  { by, now, isRoomGone }: { by: By; now: Timestamp; isRoomGone: boolean },
): Timestamp | null {
  const { decision, cameBack, at } = applied;
  const audit = {
    at,
    organizationId: call.organizationId,
    actor: by.actor,
    actorId: by.actorId,
    subjectId: call.id,
  };
  if (decision.kind === 'delete_room') {
    reopenDeletion(tx, call, now);
    tx.insert(auditLog)
      .values({ ...audit, action: 'call.room_deletion_reopened', reason: decision.why })
      .run();
    return now;
  }
  const isNews = decision.kind !== 'nothing' || applied.life !== call.life || cameBack !== null;
  if (!isLive(call.status) || !isNews) return null;

  const { id, metadata, ...after } = carryOut(call, applied, now);
  tx.update(calls).set(after).where(eq(calls.id, id)).run();
  if (after.status !== call.status) {
    tx.insert(auditLog)
      .values({
        ...audit,
        action: 'call.status_changed',
        fromStatus: call.status,
        toStatus: after.status,
        reason: by.reason,
      })
      .run();
  }
  if (cameBack !== null) {
    const whose = cameBack === 'everyone' ? undefined : eq(graces.role, cameBack);
    tx.delete(graces)
      .where(and(eq(graces.callId, id), whose))
      .run();
  }
  if (decision.kind === 'wait') {
    const { grace } = decision;
    tx.insert(graces)
      .values({ callId: id, ...grace })
      .onConflictDoUpdate({ target: [graces.callId, graces.kind, graces.role], set: grace })
      .run();
    return grace.dueAt;
  }
  if (decision.kind !== 'end') return null;
  tx.delete(graces).where(eq(graces.callId, id)).run();
  if (isRoomGone) return null;
  reopenDeletion(tx, call, now);
  return now;
}

/**
 * The room's deletion is due now, whatever became of it before. One that is running is taken from its attempt: it
 * may have deleted the room before it came back.
 */
function reopenDeletion(tx: Transaction, { id: callId, roomName }: Call, now: Timestamp): void {
  const due = {
    state: 'available',
    scheduledAt: now,
    finalizedAt: null,
    lastError: null,
    createdAt: now,
  } as const;
  tx.insert(roomDeletions)
    .values({ callId, roomName, attempt: 0, ...due })
    .onConflictDoUpdate({ target: roomDeletions.callId, set: due })
    .run();
}

function whyOf({ sign }: RoomEvent): string {
  return 'reason' in sign ? `${sign.kind}: ${sign.reason}` : sign.kind;
}
