import { and, eq, gt, inArray, lt, ne, sql } from 'drizzle-orm';
import { type Call, isLive, newCall } from '../../domain/call.ts';
import { applyRoomEvent, NO_CHANGE } from '../../domain/call-transition.ts';
import { applyObservation, isRoomListedAfterEnd, type Observation } from '../../domain/observation.ts';
import { OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { RoomEvent, RoomRef } from '../../domain/room-event.ts';
import type { Roster } from '../../domain/roster.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { EventInput, EventResult, ObservationInput } from '../../ports/store.ts';
import { longestPrefix } from './adoption.ts';
import { callById, IS_INCOMPLETE, statements } from './call-statements.ts';
import { behindTheLastIn } from './calls.ts';
import type { Database } from './database.ts';
import { toCall, toDeletion } from './rows.ts';
import { calls, IS_LIVE, livekitEvents, roomDeletions } from './schema.ts';
import { type By, write } from './write-call.ts';

export function applyEvent(db: Database, { event, policy, now, adoption }: EventInput): EventResult {
  return db.transaction(
    (): EventResult => {
      const isNew = statements(db).insertEvent.run({ id: event.id, receivedAt: now }).changes;
      if (isNew === 0) return { kind: 'duplicate' };
      const known = callOf(db, event, { guardedSince: now - policy.recreatedRoomWindowMs });
      if (known === 'earlier_session') return { kind: 'unknown_room' };
      const by = { actor: 'livekit', actorId: event.id, reason: reasonOf(event) } as const;
      if (known === null) {
        const call = adopt(db, event, { now, by, roster: null, ...adoption });
        if (call === null) return { kind: 'unknown_room' };
        return { ...applied(db, call, event, { policy, now, by }), wasAdopted: true };
      }
      const result = applied(db, known, event, { policy, now, by });
      if (result.decision.kind !== 'begin_call') return result;
      const { roster } = result.decision;
      const next = adopt(db, event, { now, by, roster, ...adoption });
      if (next === null) return result;
      return { ...applied(db, next, event, { policy, now, by }), wasAdopted: true };
    },
    { behavior: 'immediate' },
  );
}

type AppliedResult = Extract<EventResult, { kind: 'applied' }>;

function applied(
  db: Database,
  call: Call,
  event: RoomEvent,
  { policy, now, by }: { policy: EventInput['policy']; now: Timestamp; by: By },
): AppliedResult {
  const change = applyRoomEvent(call, event, { policy, now, isAdoptable: isAdoptable(db, call) });
  const isRoomGone = event.payload.kind === 'room_finished';
  const { dueAt } = write(db, call, change, { by, now, isRoomGone, leaseUntil: null });
  const { decision } = change;
  return {
    kind: 'applied',
    callId: call.id,
    wasAdopted: false,
    decision,
    dueAt,
    deletion: null,
    isListedAfterEnd: false,
  };
}

/** Of a live call it does not matter. */
function isAdoptable(db: Database, { status, roomName }: Call): boolean {
  return !isLive(status) && longestPrefix(db, roomName) !== null;
}

export function applyObservationTo(
  db: Database,
  { observation, policy, now, adoption, leaseUntil }: ObservationInput,
): AppliedResult | null {
  // Most rooms that belong to no call stay so: they need no write lock.
  if (observation.kind === 'room' && isUnrelated(db, observation.room.name)) return null;
  return db.transaction(
    () => {
      const by = { actor: 'reconciler', actorId: null, reason: REASONS[observation.kind] } as const;
      const listed = observation.kind === 'room' ? observation.room : null;
      const known =
        listed === null || observation.kind !== 'room'
          ? callById(db, 'callId' in observation ? observation.callId : '')
          : callOf(db, asEvent(listed), { guardedSince: now - policy.recreatedRoomWindowMs });
      if (known === 'earlier_session') return null;
      if (observation.kind === 'room_of_ended' && known !== null && !isLastInItsRoom(db, known)) return null;
      const begin = (room: RoomRef, roster: Roster | null): AppliedResult | null => {
        const call = adoption === null ? null : adopt(db, asEvent(room), { now, by, roster, ...adoption });
        if (call === null) return null;
        const event = { ...asEvent(room), at: room.createdAt ?? now };
        return { ...applied(db, call, event, { policy, now, by }), wasAdopted: true };
      };
      if (known === null) return listed === null ? null : begin(listed, null);
      if (observation.kind === 'room' && !isLive(known.status)) {
        return listedAfterEnd(db, known, observation, { policy, now, by });
      }
      const change = applyObservation(known, observation, {
        policy,
        now,
        isAdoptable: isAdoptable(db, known),
      });
      if (change.decision.kind === 'begin_call' && observation.kind === 'room_of_ended') {
        write(db, known, change, { by, now, isRoomGone: false, leaseUntil: null });
        return begin(observation.room, change.decision.roster);
      }
      // While its deletion is open, the list was requested for that: reopening it would take it from its attempt.
      if (change.decision.kind === 'delete_room' && isDeletionOpen(db, known)) {
        write(
          db,
          known,
          { ...change, decision: NO_CHANGE },
          { by, now, isRoomGone: false, leaseUntil: null },
        );
        const result = { callId: known.id, wasAdopted: false, decision: change.decision } as const;
        return { kind: 'applied', ...result, dueAt: null, deletion: null, isListedAfterEnd: false };
      }
      const isRoomGone = observation.kind === 'room_absent';
      const { dueAt, deletion } = write(db, known, change, { by, now, isRoomGone, leaseUntil });
      const { decision } = change;
      const isListedAfterEnd = false;
      return {
        kind: 'applied',
        callId: known.id,
        wasAdopted: false,
        decision,
        dueAt,
        deletion,
        isListedAfterEnd,
      };
    },
    { behavior: 'immediate' },
  );
}

/** A cancelled registration's room is deleted again; of all others the participants decide. */
function listedAfterEnd(
  db: Database,
  call: Call,
  { askedAt }: Extract<Observation, { kind: 'room' }>,
  { policy, now, by }: { policy: EventInput['policy']; now: Timestamp; by: By },
): AppliedResult | null {
  const row = statements(db).deletionOf.get({ callId: call.id });
  const deletion = row === undefined ? null : toDeletion(row);
  if (!isRoomListedAfterEnd({ call, deletion }, askedAt, { policy, now })) return null;
  const result = { kind: 'applied', callId: call.id, wasAdopted: false, deletion: null } as const;
  if (call.status !== 'cancelled' || call.adoptedPrefix !== null || isAdoptable(db, call)) {
    return { ...result, decision: { kind: 'nothing' }, dueAt: null, isListedAfterEnd: true };
  }
  const decision = { kind: 'delete_room', why: 'the room of an ended call is still there' } as const;
  const change = { decision, roster: call.roster, reviewAt: null, at: now };
  const { dueAt } = write(db, call, change, { by, now, isRoomGone: false, leaseUntil: null });
  return { ...result, decision, dueAt, isListedAfterEnd: false };
}

function isUnrelated(db: Database, roomName: string): boolean {
  const call = db.select({ id: calls.id }).from(calls).where(eq(calls.roomName, roomName)).limit(1).get();
  return call === undefined && longestPrefix(db, roomName) === null;
}

/** For the audit log. */
const REASONS: Readonly<Record<Observation['kind'], string>> = {
  room: 'seen in the list of rooms',
  participants: 'seen in the list of participants',
  room_of_ended: 'seen in the list of participants',
  room_absent: 'its room is gone, and no webhook reported the end',
  never_started: 'no room was ever seen',
  node: 'the node of its room does not answer',
  suspects: 'a participant of a dead node did not come back',
};

const asEvent = (room: RoomRef): RoomEvent => ({ id: '', at: 0, room, payload: { kind: 'room_started' } });

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

function isDeletionOpen(db: Database, { id: callId }: Call): boolean {
  const state = statements(db).deletionOf.get({ callId })?.state;
  return OPEN_DELETION_STATES.some((open) => open === state);
}

/** The room of an ended call may belong to a newer call by now. */
function isLastInItsRoom(db: Database, { id, roomName }: Call): boolean {
  return statements(db).lastTwoIn.all({ roomName }).at(0)?.id === id;
}

/** The live call in the room, else the last one that was; null when there is none whose room is still guarded. */
function callOf(
  db: Database,
  { room, payload }: RoomEvent,
  { guardedSince }: { guardedSince: Timestamp },
): Call | 'earlier_session' | null {
  const [last, beforeIt] = statements(db).lastTwoIn.all({ roomName: room.name }).map(toCall);
  if (last === undefined) return null;
  // A late event of the call before must not be taken for the beginning of this one.
  if (last.roomId === null && beforeIt !== undefined) {
    const isEnd = payload.kind !== 'room_started' && payload.kind !== 'participant_joined';
    const isOfThen = room.createdAt !== null && room.createdAt <= (beforeIt.endedAt ?? 0);
    if (beforeIt.roomId === room.sid || (isEnd && isOfThen)) return 'earlier_session';
  }
  if (last.endedAt === null || last.endedAt >= guardedSince) return last;
  const incomplete = db
    .select({ callId: roomDeletions.callId })
    .from(roomDeletions)
    // One that was given up must not keep new callers out for ever.
    .where(and(eq(roomDeletions.roomName, room.name), IS_INCOMPLETE, ne(roomDeletions.state, 'discarded')))
    .get();
  return incomplete === undefined ? null : last;
}

/**
 * Makes a call of a room that nobody registered, when it begins or somebody joins it.
 * @param roster the participants that the call begins with, in the session of an ended call
 */
function adopt(
  db: Database,
  { room, payload }: RoomEvent,
  {
    callId,
    agentId,
    now,
    by,
    roster,
  }: {
    callId: string;
    agentId: string | null;
    now: Timestamp;
    by: By;
    roster: Roster | null;
  },
): Call | null {
  if (payload.kind !== 'room_started' && payload.kind !== 'participant_joined') return null;
  const adopting = longestPrefix(db, room.name);
  if (adopting === null) return null;
  const { prefix, organizationId } = adopting;
  // A deletion is for one session of a room: with a newer call in a room of that name, an older one is over.
  statements(db).completeDeletions.run({ roomName: room.name, now });
  // In a session that an earlier call ended in, this one begins now.
  const beganAt = roster === null ? (room.createdAt ?? now) : now;
  const call = newCall({
    id: callId,
    organizationId,
    roomName: room.name,
    roster,
    // Until its phone shows its direction: a call that nobody registered came in.
    direction: 'inbound',
    adoptedPrefix: prefix,
    agentId,
    createdAt: behindTheLastIn(db, { roomName: room.name, createdAt: Math.min(now, beganAt) }),
  });
  db.insert(calls)
    .values({ ...call, metadata: { ...call.metadata } })
    .run();
  const { actor, actorId } = by;
  const reason = `adopted by the prefix ${prefix}`;
  statements(db).insertAudit.run({
    at: now,
    organizationId,
    action: 'call.created',
    actor,
    actorId,
    subjectId: callId,
    fromStatus: null,
    toStatus: call.status,
    reason,
  });
  return call;
}

function reasonOf({ payload }: RoomEvent): string {
  return 'reason' in payload ? `${payload.kind}: ${payload.reason}` : payload.kind;
}
