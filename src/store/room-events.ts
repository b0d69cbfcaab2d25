import { and, asc, desc, eq, getTableColumns, gt, inArray, lt, lte, or, sql } from 'drizzle-orm';
import { type Applied, applyRoomEvent, carryOut } from '../domain/apply-room-event.ts';
import { type Call, isLive, newCall } from '../domain/call.ts';
import { applyObservation, isNewsOfEnded, type Observation } from '../domain/observation.ts';
import type { CallInRoom, EventInput, EventResult, ObservationInput, Store } from '../domain/ports.ts';
import type { RoomDeletion } from '../domain/room-deletion.ts';
import type { EventRoom, RoomEvent } from '../domain/room-event.ts';
import { present, type Roster } from '../domain/roster.ts';
import type { Timestamp } from '../domain/time.ts';
import { longestPrefix } from './adoption.ts';
import { behindTheLastIn } from './calls.ts';
import type { Database } from './database.ts';
import { prepared } from './prepared.ts';
import { toCall, toDeletion } from './rows.ts';
import { auditLog, calls, IS_LIVE, livekitEvents, roomDeletions } from './schema.ts';

const { placeholder } = sql;

/** As the partial index has it: a bound value does not show SQLite that it may use that. */
const IS_INCOMPLETE = sql`${roomDeletions.state} <> 'completed'`;

const VERSION = sql<string>`coalesce(json_extract(${calls.roster}, '$.sid') || ':' || json_extract(${calls.roster}, '$.departures'), '')`;
const IN_ROOM = { callId: calls.id, roomName: calls.roomName, version: VERSION };

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
  leaseDeletion: db
    .insert(roomDeletions)
    .values({
      callId: placeholder('callId'),
      roomName: placeholder('roomName'),
      attempt: 1,
      state: 'running',
      scheduledAt: placeholder('leaseUntil'),
      attemptedAt: placeholder('now'),
      createdAt: placeholder('now'),
    })
    .onConflictDoUpdate({
      target: roomDeletions.callId,
      set: {
        state: 'running',
        attempt: sql`${roomDeletions.attempt} + 1`,
        scheduledAt: sql`excluded.scheduled_at`,
        attemptedAt: sql`excluded.attempted_at`,
        finalizedAt: null,
        lastError: null,
        createdAt: sql`excluded.created_at`,
      },
    })
    .prepare(),
  completeDeletions: db
    .update(roomDeletions)
    .set({
      state: 'completed',
      // A completed deletion has an attempt, by the table's constraint.
      attempt: sql`max(${roomDeletions.attempt}, 1)`,
      attemptedAt: sql`coalesce(${roomDeletions.attemptedAt}, ${placeholder('now')})`,
      finalizedAt: sql`${placeholder('now')}`,
    })
    .where(and(eq(roomDeletions.roomName, placeholder('roomName')), IS_INCOMPLETE))
    .prepare(),
  unansweredPhones: db
    .select(IN_ROOM)
    .from(calls)
    .where(and(sql`${calls.hasUnansweredPhone} = 1`, gt(calls.id, placeholder('after'))))
    .orderBy(asc(calls.id))
    .limit(placeholder('limit'))
    .prepare(),
  dueReviews: db
    .select({
      ...IN_ROOM,
      isUnresponsive: sql<number>`json_extract(${calls.roster}, '$.unresponsiveSince') IS NOT NULL`,
    })
    .from(calls)
    .where(
      and(
        sql`${calls.reviewAt} IS NOT NULL`,
        or(lte(calls.reviewAt, placeholder('now')), gt(calls.reviewAt, placeholder('farthest'))),
      ),
    )
    .orderBy(asc(calls.reviewAt))
    .limit(placeholder('limit'))
    .prepare(),
  nextReview: db
    .select({ at: calls.reviewAt })
    .from(calls)
    .where(and(sql`${calls.reviewAt} IS NOT NULL`, gt(calls.reviewAt, placeholder('now'))))
    .orderBy(asc(calls.reviewAt))
    .limit(1)
    .prepare(),
}));

/** The actor and the reason, for the audit log. */
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
  const isRoomGone = event.sign.kind === 'room_finished';
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
          : callOf(db, asEvent(listed), { guardedSince: now - policy.guardMs });
      if (known === 'earlier_session') return null;
      const begin = (room: EventRoom, roster: Roster | null): AppliedResult | null => {
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
  if (!isNewsOfEnded({ call, deletion }, askedAt, { policy, now })) return null;
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
};

const asEvent = (room: EventRoom): RoomEvent => ({ id: '', at: 0, room, sign: { kind: 'room_started' } });

function callById(db: Database, id: string): Call | null {
  const row = statements(db).callById.get({ id });
  return row === undefined ? null : toCall(row);
}

export function listUnansweredPhones(
  db: Database,
  { after, limit }: { after: string; limit: number },
): CallInRoom[] {
  return statements(db).unansweredPhones.all({ after, limit });
}

export function listReviews(
  db: Database,
  { now, farthest, limit }: Parameters<Store['listReviews']>[0],
): Awaited<ReturnType<Store['listReviews']>> {
  const due = statements(db).dueReviews.all({ now, farthest, limit });
  return {
    due: due.map((review) => ({ ...review, isUnresponsive: review.isUnresponsive === 1 })),
    nextAt: statements(db).nextReview.get({ now })?.at ?? null,
  };
}

export function findDeletionSubject(
  db: Database,
  callId: string,
): { call: Call; isAdoptable: boolean } | null {
  const call = callById(db, callId);
  return call === null ? null : { call, isAdoptable: longestPrefix(db, call.roomName) !== null };
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
): Call | 'earlier_session' | null {
  const [last, beforeIt] = statements(db).lastTwoIn.all({ roomName: room.name }).map(toCall);
  if (last === undefined) return null;
  // A late event of the call before must not be taken for the beginning of this one.
  if (last.roomId === null && beforeIt !== undefined) {
    const isEnd = sign.kind !== 'room_started' && sign.kind !== 'participant_joined';
    const isOfThen = room.createdAt !== null && room.createdAt <= (beforeIt.endedAt ?? 0);
    if (beforeIt.roomId === room.sid || (isEnd && isOfThen)) return 'earlier_session';
  }
  if (last.endedAt === null || last.endedAt >= guardedSince) return last;
  const incomplete = db
    .select({ callId: roomDeletions.callId })
    .from(roomDeletions)
    .where(and(eq(roomDeletions.roomName, room.name), IS_INCOMPLETE))
    .get();
  return incomplete === undefined ? null : last;
}

/**
 * Makes a call of a room that nobody registered, when it begins or somebody joins it.
 * @param roster the participants that the call begins with, in the session of an ended call
 */
function adopt(
  db: Database,
  { room, sign }: RoomEvent,
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
  if (sign.kind !== 'room_started' && sign.kind !== 'participant_joined') return null;
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

interface Written {
  /** When the reconciler has something to do for the call. */
  readonly dueAt: Timestamp | null;
  readonly deletion: RoomDeletion | null;
}

/** Writes what was decided. */
function write(
  db: Database,
  call: Call,
  change: Applied,
  {
    by,
    now,
    isRoomGone,
    leaseUntil,
  }: { by: By; now: Timestamp; isRoomGone: boolean; leaseUntil: Timestamp | null },
): Written {
  const { decision, at } = change;
  const { id, organizationId } = call;
  const { actor, actorId } = by;
  const audit = { at, organizationId, actor, actorId, subjectId: id, fromStatus: null, toStatus: null };
  if (change.roster !== call.roster || change.reviewAt !== call.reviewAt || changesStatus(decision)) {
    const after = carryOut(call, change, now);
    statements(db).updateCall.run({
      ...after,
      roster: after.roster && JSON.stringify(after.roster),
      hasUnansweredPhone: hasUnansweredPhone(after) ? 1 : 0,
    });
    if (after.status !== call.status) {
      const statuses = { fromStatus: call.status, toStatus: after.status };
      const changed = { ...audit, ...statuses, action: 'call.status_changed', reason: by.reason };
      statements(db).insertAudit.run(changed);
    }
  }
  switch (decision.kind) {
    case 'delete_room':
      reopenDeletion(db, call, now);
      statements(db).insertAudit.run({
        ...audit,
        action: 'call.room_deletion_reopened',
        reason: decision.why,
      });
      return { dueAt: now, deletion: null };
    case 'report_survival':
      statements(db).insertAudit.run({ ...audit, action: 'call.ended_in_error', reason: decision.why });
      return { dueAt: null, deletion: null };
    case 'end':
      if (isRoomGone) return { dueAt: null, deletion: null };
      if (leaseUntil !== null) return { dueAt: null, deletion: leaseDeletion(db, call, { now, leaseUntil }) };
      reopenDeletion(db, call, now);
      return { dueAt: now, deletion: null };
    default:
      return { dueAt: isLive(call.status) ? change.reviewAt : null, deletion: null };
  }
}

const changesStatus = ({ kind }: Applied['decision']) => kind === 'advance' || kind === 'end';

function hasUnansweredPhone({ status, roster }: Call): boolean {
  if (!isLive(status) || roster === null) return false;
  return present(roster, 'phone').some(({ phone }) => phone?.answeredAt == null);
}

function leaseDeletion(
  db: Database,
  { id: callId, roomName }: Call,
  { now, leaseUntil }: { now: Timestamp; leaseUntil: Timestamp },
): RoomDeletion {
  const { leaseDeletion: lease, deletionOf } = statements(db);
  lease.run({ callId, roomName, now, leaseUntil });
  const row = deletionOf.get({ callId });
  if (row === undefined) throw new Error(`the deletion of call ${callId} was not written`);
  return toDeletion(row);
}

/**
 * The room's deletion is due now, whatever became of it before. A running attempt loses its lease: it may have
 * deleted the room before the room came back.
 */
function reopenDeletion(db: Database, { id: callId, roomName }: Call, now: Timestamp): void {
  statements(db).openDeletion.run({ callId, roomName, now });
}

function reasonOf({ sign }: RoomEvent): string {
  return 'reason' in sign ? `${sign.kind}: ${sign.reason}` : sign.kind;
}
