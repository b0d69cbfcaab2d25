import { and, asc, desc, eq, getTableColumns, gt, inArray, lt, lte, ne, sql } from 'drizzle-orm';
import { type Applied, applyRoomEvent, carryOut, settleGrace } from '../domain/apply-room-event.ts';
import { type Call, isLive, newCall } from '../domain/call.ts';
import type { EventInput, EventResult, Store, UnansweredPhone } from '../domain/ports.ts';
import type { EventRoom, RoomEvent } from '../domain/room-event.ts';
import { applySighting, type Sighting } from '../domain/sighting.ts';
import type { Timestamp } from '../domain/time.ts';
import { longestPrefix } from './adoption.ts';
import { behindTheLastIn } from './calls.ts';
import type { Database } from './database.ts';
import { prepared } from './prepared.ts';
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

const { placeholder } = sql;

/** What a webhook or a pass runs again and again. */
const statements = prepared((db) => ({
  insertEvent: db
    .insert(livekitEvents)
    .values({ id: placeholder('id'), receivedAt: placeholder('receivedAt') })
    .onConflictDoNothing()
    .prepare(),
  lastTwoIn: db
    .select()
    .from(calls)
    .where(eq(calls.roomName, placeholder('roomName')))
    .orderBy(desc(calls.createdAt), desc(calls.id))
    .limit(2)
    .prepare(),
  callById: db
    .select()
    .from(calls)
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
  deletionOf: db
    .select()
    .from(roomDeletions)
    .where(eq(roomDeletions.callId, placeholder('callId')))
    .prepare(),
  updateCall: db
    .update(calls)
    .set(
      Object.fromEntries(
        Object.keys(getTableColumns(calls))
          .filter((column) => !['id', 'metadata', 'scheduledOrder'].includes(column))
          // As SQL, for a placeholder alone would write a null of JSON as the word.
          .map((column) => [column, sql`${placeholder(column)}`]),
      ),
    )
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
  insertAudit: db
    .insert(auditLog)
    .values({
      at: placeholder('at'),
      organizationId: placeholder('organizationId'),
      action: placeholder('action'),
      actor: placeholder('actor'),
      actorId: placeholder('actorId'),
      subjectId: placeholder('subjectId'),
      fromStatus: placeholder('fromStatus'),
      toStatus: placeholder('toStatus'),
      reason: placeholder('reason'),
    })
    .prepare(),
  endGraces: db
    .delete(graces)
    .where(eq(graces.callId, placeholder('callId')))
    .prepare(),
  openDeletion: db
    .insert(roomDeletions)
    .values({
      callId: placeholder('callId'),
      roomName: placeholder('roomName'),
      attempt: 0,
      state: 'available',
      scheduledAt: placeholder('now'),
      createdAt: placeholder('now'),
    })
    .onConflictDoUpdate({
      target: roomDeletions.callId,
      set: {
        state: 'available',
        scheduledAt: sql`excluded.scheduled_at`,
        finalizedAt: null,
        lastError: null,
        createdAt: sql`excluded.created_at`,
      },
    })
    .prepare(),
  unansweredPhones: db
    .select({
      callId: calls.id,
      roomName: calls.roomName,
      sid: sql<string>`json_extract(${calls.life}, '$.phone.sid')`,
    })
    .from(calls)
    .where(and(sql.raw(IS_UNANSWERED_PHONE), gt(calls.id, placeholder('after'))))
    .orderBy(asc(calls.id))
    .limit(placeholder('limit'))
    .prepare(),
  dueGraces: db
    .select()
    .from(graces)
    .where(lte(graces.dueAt, placeholder('now')))
    .orderBy(asc(graces.dueAt))
    .limit(placeholder('limit'))
    .prepare(),
  nextGrace: db.select({ at: graces.dueAt }).from(graces).orderBy(asc(graces.dueAt)).limit(1).prepare(),
}));

/** Who did it and why, for the audit log. */
interface By {
  readonly actor: 'livekit' | 'reconciler';
  readonly actorId: string | null;
  readonly reason: string;
}

export function applyEvent(db: Database, { event, policy, now, adoption }: EventInput): EventResult {
  return db.transaction(
    (): EventResult => {
      const isNew = statements(db).insertEvent.run({ id: event.id, receivedAt: now }).changes;
      if (isNew === 0) return { kind: 'duplicate' };
      const known = callOf(db, event, { guardedSince: now - policy.guardMs });
      if (known === 'earlier_life') return { kind: 'unknown_room' };
      const call = known ?? adopt(db, event, { now, ...adoption });
      if (call === null) return { kind: 'unknown_room' };
      const applied = applyRoomEvent(call, event, { policy, now });
      const by = { actor: 'livekit', actorId: event.id, reason: whyOf(event) } as const;
      const isRoomGone = event.sign.kind === 'room_finished';
      const dueAt = record(db, call, applied, { by, now, isRoomGone });
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
  // Most rooms that nobody knows stay so: they need no write lock.
  if (sighting.kind === 'room' && isNobodys(db, sighting.room.name)) return null;
  return db.transaction(
    () => {
      const known =
        sighting.kind === 'room'
          ? callOf(db, asSign(sighting.room), { guardedSince: now - policy.guardMs })
          : callById(db, sighting.callId);
      if (known === 'earlier_life') return null;
      const isAdoptable = sighting.kind === 'room' && adoption !== null && known === null;
      const call = isAdoptable ? adopt(db, asSign(sighting.room), { now, ...adoption }) : known;
      if (call === null) return null;
      const deletion = statements(db).deletionOf.get({ callId: call.id });
      const applied = applySighting(
        { call, deletion: deletion === undefined ? null : toDeletion(deletion) },
        sighting,
        { policy, now },
      );
      const by = { actor: 'reconciler', actorId: null, reason: REASONS[sighting.kind] } as const;
      const dueAt = record(db, call, applied, { by, now, isRoomGone: sighting.kind === 'room_absent' });
      return { kind: 'applied', callId: call.id, wasAdopted: isAdoptable, decision: applied.decision, dueAt };
    },
    { behavior: 'immediate' },
  );
}

function isNobodys(db: Database, roomName: string): boolean {
  const call = db.select({ id: calls.id }).from(calls).where(eq(calls.roomName, roomName)).limit(1).get();
  return call === undefined && longestPrefix(db, roomName) === null;
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

function callById(db: Database, id: string): Call | null {
  const row = statements(db).callById.get({ id });
  return row === undefined ? null : toCall(row);
}

export function listUnansweredPhones(
  db: Database,
  { after, limit }: { after: string; limit: number },
): UnansweredPhone[] {
  return statements(db).unansweredPhones.all({ after, limit });
}

export function settleGraces(
  db: Database,
  { now, limit }: { now: Timestamp; limit: number },
): Awaited<ReturnType<Store['settleGraces']>> {
  return db.transaction(
    (tx) => {
      const due = statements(db).dueGraces.all({ now, limit });
      const ended = due.flatMap((grace) => {
        // Read one by one: another grace of the same call may just have ended it.
        const call = callById(db, grace.callId);
        if (call === null) return [];
        const decision = settleGrace(call, grace);
        tx.delete(graces)
          .where(and(eq(graces.callId, call.id), eq(graces.kind, grace.kind), eq(graces.role, grace.role)))
          .run();
        if (decision.kind !== 'end') return [];
        // A phone left alone was on the line until now; who lost the connection was gone from the beginning.
        const at = grace.kind === 'agent_left' ? now : grace.since;
        const by = { actor: 'reconciler', actorId: null, reason: `${grace.kind}: ${grace.reason}` } as const;
        const applied = { decision, life: call.life, cameBack: null, at };
        record(db, call, applied, { by, now, isRoomGone: false });
        return [{ callId: call.id, status: decision.status }];
      });
      const next = statements(db).nextGrace.get();
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
    // By name, which is never empty: else SQLite looks for one among all calls there ever were.
    .where(and(sql.raw(IS_LIVE), gt(calls.roomName, '')))
    .limit(1)
    .get();
  return { hasEvents: event !== undefined, hasLiveCalls: live !== undefined };
}

/** The live call in the room, else the last one that was; null when there is none whose room is still guarded. */
function callOf(
  db: Database,
  { room, sign }: RoomEvent,
  { guardedSince }: { guardedSince: Timestamp },
): Call | 'earlier_life' | null {
  const [last, beforeIt] = statements(db).lastTwoIn.all({ roomName: room.name }).map(toCall);
  if (last === undefined) return null;
  // What is told late of the call before must not be taken for the beginning of this one.
  if (last.roomId === null && beforeIt !== undefined) {
    const isEnd = sign.kind !== 'room_started' && sign.kind !== 'participant_joined';
    const isOfThen = room.createdAt !== null && room.createdAt <= (beforeIt.endedAt ?? 0);
    if (beforeIt.roomId === room.sid || (isEnd && isOfThen)) return 'earlier_life';
  }
  if (last.endedAt === null || last.endedAt >= guardedSince) return last;
  const incomplete = db
    .select({ callId: roomDeletions.callId })
    .from(roomDeletions)
    .where(and(eq(roomDeletions.roomName, room.name), ne(roomDeletions.state, 'completed')))
    .get();
  return incomplete === undefined ? null : last;
}

/** Makes a call of a room that nobody registered, when it begins or somebody joins it. */
function adopt(
  db: Database,
  { room, sign, id: eventId }: RoomEvent,
  { callId, agentId, now }: { callId: string; agentId: string | null; now: Timestamp },
): Call | null {
  if (sign.kind !== 'room_started' && sign.kind !== 'participant_joined') return null;
  const adopting = longestPrefix(db, room.name);
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
    createdAt: behindTheLastIn(db, { roomName: room.name, createdAt: Math.min(now, room.createdAt ?? now) }),
  });
  db.insert(calls)
    .values({ ...call, metadata: { ...call.metadata } })
    .run();
  statements(db).insertAudit.run({
    at: now,
    organizationId,
    action: 'call.created',
    actor: 'livekit',
    actorId: eventId,
    subjectId: callId,
    fromStatus: null,
    toStatus: call.status,
    reason: `adopted by the prefix ${prefix}`,
  });
  return call;
}

/** Writes down what was decided; returns when the reconciler has something to do for it. */
function record(
  db: Database,
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
    reopenDeletion(db, call, now);
    const reopened = { action: 'call.room_deletion_reopened', fromStatus: null, toStatus: null };
    statements(db).insertAudit.run({ ...audit, ...reopened, reason: decision.why });
    return now;
  }
  const isNews = decision.kind !== 'nothing' || applied.life !== call.life || cameBack !== null;
  if (!isLive(call.status) || !isNews) return null;

  const after = carryOut(call, applied, now);
  const { id } = call;
  statements(db).updateCall.run({ ...after, life: after.life && JSON.stringify(after.life) });
  if (after.status !== call.status) {
    const changed = { action: 'call.status_changed', fromStatus: call.status, toStatus: after.status };
    statements(db).insertAudit.run({ ...audit, ...changed, reason: by.reason });
  }
  if (cameBack !== null) {
    const whose = cameBack === 'everyone' ? undefined : eq(graces.role, cameBack);
    db.delete(graces)
      .where(and(eq(graces.callId, id), whose))
      .run();
  }
  if (decision.kind === 'wait') {
    const { grace } = decision;
    db.insert(graces)
      .values({ callId: id, ...grace })
      .onConflictDoUpdate({ target: [graces.callId, graces.kind, graces.role], set: grace })
      .run();
    return grace.dueAt;
  }
  if (decision.kind !== 'end') return null;
  statements(db).endGraces.run({ callId: id });
  if (isRoomGone) return null;
  reopenDeletion(db, call, now);
  return now;
}

/**
 * The room's deletion is due now, whatever became of it before. One that is running is taken from its attempt: it
 * may have deleted the room before it came back.
 */
function reopenDeletion(db: Database, { id: callId, roomName }: Call, now: Timestamp): void {
  statements(db).openDeletion.run({ callId, roomName, now });
}

function whyOf({ sign }: RoomEvent): string {
  return 'reason' in sign ? `${sign.kind}: ${sign.reason}` : sign.kind;
}
