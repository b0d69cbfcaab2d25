import { beforeEach, describe, expect, test } from 'vitest';
import { hasUnansweredPhone } from '../../src/domain/call.ts';
import { type CallSnapshot, writesNothing } from '../../src/domain/call-change.ts';
import { onObservation } from '../../src/domain/on-observation.ts';
import type { Participant } from '../../src/domain/room-event.ts';
import { versionOf } from '../../src/domain/roster.ts';
import { type CallMemory, createCallMemory, ROOM } from '../harness/call-memory.ts';
import {
  AGENT,
  ANSWERED,
  inbound,
  joined,
  left,
  OTHER_PERSON,
  outbound,
  PERSON,
  POLICY,
} from '../harness/rosters.ts';

const PHONE = inbound({ callStatus: 'active' });
const PEOPLE = [PERSON, OTHER_PERSON];

let memory: CallMemory;
beforeEach(() => {
  memory = createCallMemory();
});

const listed = (participants: readonly Participant[], requestedAt: number, version = '') => ({
  participants,
  requestedAt,
  version,
  isTrusted: true,
});
const listRoom = (requestedAt = 4_000, now = 5_000) =>
  memory.observe({ kind: 'room', room: ROOM, requestedAt }, now);
/** @param version the version of the roster before the request for the list */
const listParticipants = (
  participants: readonly Participant[],
  requestedAt = 5_000,
  {
    callId = 'c1',
    version = versionOf(memory.call(callId)?.roster ?? null),
    leaseMs = null as number | null,
  } = {},
) =>
  memory.observe(
    { kind: 'participants', callId, ...listed(participants, requestedAt, version) },
    requestedAt,
    leaseMs,
  );
const listEndedRoom = (participants: readonly Participant[], requestedAt: number, callId = 'c1') =>
  memory.observe(
    { kind: 'room_of_ended', callId, room: ROOM, ...listed(participants, requestedAt) },
    requestedAt,
  );

/** Registers a call with a phone that joined and left again, as webhooks reported. */
function registerLeftCall(): void {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.receive(joined(PHONE));
  memory.receive(left(PHONE), { now: 6_000 });
}

describe('a list of participants', () => {
  test('does not confirm an end when it was requested before a departure was noticed', () => {
    registerLeftCall();
    expect(listParticipants([], 6_500, { version: 'RM_1:0' })).toMatchObject({
      decision: { kind: 'nothing' },
    });
    expect(memory.dueReviews(6_500)).toEqual(['c1']);
  });

  test('with two parties keeps the call', () => {
    registerLeftCall();
    expect(listParticipants(PEOPLE, 6_500)).toMatchObject({ decision: { kind: 'nothing' } });
    expect(memory.dueReviews(1_000_000)).toEqual([]);
    expect(memory.call()?.status).toBe('active');
  });

  test('leases the deletion of the room to its reader when it ends the call', () => {
    registerLeftCall();
    const result = listParticipants([], 6_500, { leaseMs: 7_500 });
    expect(result).toMatchObject({ decision: { kind: 'end' }, dueAt: null });
    expect(result?.deletion).toEqual(memory.deletionOf('c1'));
    expect(result?.deletion).toMatchObject({ state: 'running', attempt: 1, scheduledAt: 14_000 });
    expect(memory.auditOf('c1').at(-1)).toMatchObject({
      actor: 'reconciler',
      actorId: null,
      toStatus: 'completed',
      reason: 'LiveKit listed the participants',
    });
  });

  test('changes nothing, not even updatedAt, when it equals the roster', () => {
    memory.register({ id: 'c1', roomName: 'room' });
    listRoom();
    listParticipants([AGENT, PERSON]);
    const before = memory.call();
    expect(before?.status).toBe('active');
    listParticipants([PERSON, AGENT], 9_000);
    expect(memory.call()).toBe(before);
  });

  test('shows that a phone was answered, or is missing in two lists', () => {
    const dialled = outbound();
    for (const id of ['c1', 'c2', 'c3']) {
      memory.register({ id, roomName: id });
      memory.observe({ kind: 'room', room: { ...ROOM, name: id }, requestedAt: 4_000 });
      listParticipants([dialled], 5_000, { callId: id });
    }
    const unanswered = () =>
      memory
        .calls()
        .filter(hasUnansweredPhone)
        .map(({ id }) => id);
    expect(unanswered()).toEqual(['c1', 'c2', 'c3']);
    expect(listParticipants([outbound(ANSWERED)], 6_000)).toMatchObject({ decision: { kind: 'advance' } });
    expect(memory.call('c1')).toMatchObject({ status: 'active', answeredAt: 6_000 });
    const miss = (requestedAt: number) => listParticipants([], requestedAt, { callId: 'c2' })?.decision.kind;
    expect([miss(6_000), miss(15_999), miss(16_000)]).toEqual(['nothing', 'nothing', 'end']);
    expect(memory.call('c2')?.status).toBe('failed');
    expect(memory.deletionOf('c2')).toMatchObject({ state: 'available' });
    expect(unanswered()).toEqual(['c3']);
  });
});

describe('a listed room', () => {
  test('gives a call its session, once', () => {
    memory.register({ id: 'c1', roomName: 'room' });
    expect(listRoom()).toMatchObject({ decision: { kind: 'advance' } });
    const call = memory.call();
    expect(call).toMatchObject({ status: 'connecting', roomId: 'RM_1', startedAt: 2_000 });
    expect(listRoom(6_000, 7_000)).toMatchObject({ decision: { kind: 'nothing' } });
    expect(memory.call()).toBe(call);
  });

  test('of a cancelled call is deleted again once its deletion was completed, and not before', () => {
    memory.register({ id: 'c1', roomName: 'room' });
    memory.cancel('c1');
    expect(listRoom(4_000)).toBeNull(); // The deletion is running.
    memory.settle('c1');
    expect(listRoom(3_000)).toBeNull(); // The list was requested before the deletion was completed.
    expect(listRoom(3_001)).toMatchObject({ decision: { kind: 'delete_room' }, dueAt: 5_000 });
    expect(memory.deletionOf('c1')).toMatchObject({ state: 'available' });
    expect(memory.auditOf('c1').at(-1)).toMatchObject({
      action: 'call.room_deletion_reopened',
      reason: 'the room of an ended call is still listed',
    });
    expect(listRoom(3_001)).toBeNull(); // The deletion is due.
  });

  test('of a cancelled call is left to its participants when a prefix adopts the room', () => {
    memory.register({ id: 'c1', roomName: 'room' });
    memory.cancel('c1');
    memory.settle('c1');
    memory.addPrefix('room');
    expect(listRoom()).toMatchObject({ decision: { kind: 'nothing' }, isListedAfterEnd: true });
  });

  test('of a call that ended by inference is left to its participants', () => {
    memory.register({ id: 'c1', roomName: 'room', status: 'completed', endedAt: 1_500 });
    expect(listRoom()).toMatchObject({ decision: { kind: 'nothing' }, isListedAfterEnd: true });
    expect(memory.deletionOf('c1')).toBeNull();
  });

  test('matches no call after the time in which it may be recreated', () => {
    memory.register({ id: 'c1', roomName: 'room' });
    memory.cancel('c1');
    memory.settle('c1');
    const late = 2_000 + POLICY.recreatedRoomWindowMs + 1;
    expect(listRoom(late, late)).toBeNull();
  });

  test('is left to the operator when its deletion was discarded', () => {
    memory.register({ id: 'c1', roomName: 'room' });
    memory.cancel('c1');
    memory.settle('c1', 3_000, 'discarded');
    expect(listRoom()).toBeNull();
  });

  test('of an unregistered call becomes a call by its prefix', () => {
    expect(listRoom()).toBeNull();
    memory.addPrefix('room');
    expect(listRoom()).toMatchObject({ callId: 'adopted', wasAdopted: true, dueAt: null });
    expect(memory.call('adopted')).toMatchObject({ status: 'connecting', startedAt: 2_000 });
  });
});

describe("a list of the participants of an ended call's room", () => {
  test('does not take the lease from an attempt when it was requested for the deletion', () => {
    memory.register({ id: 'c1', roomName: 'room', createdAt: 3_000 });
    memory.receive(joined(PHONE));
    memory.cancel('c1', 5_100);
    const leased = memory.deletionOf('c1');
    expect(listEndedRoom([PHONE], 6_000)).toMatchObject({ decision: { kind: 'delete_room' }, dueAt: null });
    expect(memory.deletionOf('c1')).toEqual(leased);
    memory.settle('c1', 6_100);
    // LiveKit still lists the room after the completed deletion.
    expect(listEndedRoom([PHONE], 7_000)).toMatchObject({ decision: { kind: 'delete_room' }, dueAt: 7_000 });
    expect(memory.deletionOf('c1')).toMatchObject({ state: 'available', attempt: 1 });
  });

  test('changes nothing once a newer call has the room', () => {
    memory.register({ id: 'c1', roomName: 'room', createdAt: 3_000 });
    memory.cancel('c1', 4_000);
    memory.settle('c1', 4_100);
    memory.register({ id: 'c2', roomName: 'room', createdAt: 4_500 });
    expect(listEndedRoom([PHONE], 6_000)).toBeNull();
    expect(memory.deletionOf('c1')).toMatchObject({ state: 'completed' });
  });

  test('reports a call that ended by absence while its room was in use, once, and keeps the room', () => {
    memory.register({ id: 'c1', roomName: 'room' });
    listRoom();
    listParticipants(PEOPLE);
    memory.observe({ kind: 'room_absent', callId: 'c1', sid: 'RM_1' }, 6_000);
    expect(listEndedRoom(PEOPLE, 7_000)).toMatchObject({ decision: { kind: 'report_survival' } });
    expect(memory.call()?.status).toBe('completed');
    expect(memory.deletionOf('c1')).toBeNull();
    expect(memory.auditOf('c1').at(-1)).toMatchObject({
      action: 'call.ended_in_error',
      actor: 'reconciler',
      reason: 'its room RM_1 is still in use: 2 parties',
    });
    expect(listEndedRoom(PEOPLE, 8_000)).toMatchObject({ decision: { kind: 'nothing' } });
  });

  test('with a new caller begins a separate call, which has its own id, roster and end', () => {
    memory.addPrefix('room');
    memory.register({ id: 'c1', roomName: 'room' });
    memory.receive(joined(PHONE));
    memory.receive(left(PHONE), { now: 6_000 });
    listParticipants([], 6_100);
    const ended = memory.call();
    expect(ended?.status).toBe('completed');
    const next = inbound({ callStatus: 'active' }, 'next');
    expect(listEndedRoom([next], 20_000)).toMatchObject({ callId: 'adopted', wasAdopted: true });
    expect(memory.call('adopted')).toMatchObject({
      status: 'active',
      roster: { members: [{ sid: next.sid }] },
    });
    expect({ ...memory.call(), roster: null }).toEqual({ ...ended, roster: null });
    expect(memory.deletionOf('c1')).toMatchObject({ state: 'completed' });
  });
});

test('an absent room ends only the call of its session, and never a call without a room', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  const missing = (sid: string | null) =>
    memory.observe({ kind: 'room_absent', callId: 'c1', sid })?.decision.kind;
  expect(missing(null)).toBe('nothing');
  listRoom();
  expect(missing('RM_0')).toBe('nothing');
  expect(missing('RM_1')).toBe('end');
  expect(memory.call()).toMatchObject({ status: 'failed', failureReason: 'ROOM_FINISHED', endedAt: 5_000 });
  expect(memory.deletionOf('c1')).toBeNull();
  expect(missing('RM_1')).toBe('nothing');
  expect(memory.observe({ kind: 'room_absent', callId: 'none', sid: null })).toBeNull();
});

test('a node without a response for the grace period ends its call, and a node that responds again does not', () => {
  const probe = (callId: string, isResponding: boolean, requestedAt: number) =>
    memory.observe({ kind: 'node', callId, isResponding, isTrusted: true, requestedAt }, requestedAt)
      ?.decision.kind;
  for (const id of ['c1', 'c2']) {
    memory.register({ id, roomName: id });
    memory.observe({ kind: 'room', room: { ...ROOM, name: id }, requestedAt: 4_000 });
    listParticipants([AGENT, PERSON], 5_000, { callId: id });
    expect(probe(id, false, 6_000)).toBe('nothing');
  }
  expect(memory.dueReviews(31_000)).toEqual(['c1', 'c2']);
  expect(probe('c2', true, 31_000)).toBe('nothing');
  for (const id of ['c1', 'c2']) probe(id, false, 31_000);
  expect(memory.call('c1')).toMatchObject({
    status: 'completed',
    failureReason: 'NODE_LOST',
    endedAt: 6_000,
  });
  expect(memory.deletionOf('c1')).toMatchObject({ state: 'available' });
  expect(memory.call('c2')?.status).toBe('active');
});

test('a call that never started fails, unless its room was seen', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.register({ id: 'c2', roomName: 'other' });
  listRoom();
  const expire = (callId: string) => memory.observe({ kind: 'never_started', callId })?.decision.kind;
  expect([expire('c1'), expire('c2')]).toEqual(['nothing', 'end']);
  expect(memory.call('c2')).toMatchObject({ status: 'failed', failureReason: 'never started' });
});

test('an observation without a change writes nothing, so the store takes no write lock', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  listRoom();
  listParticipants([AGENT, PERSON]);
  const call = memory.call() ?? null;
  const snapshot: CallSnapshot = {
    now: 9_000,
    call,
    previousCall: null,
    isNewestInRoom: true,
    hasLiveCallInRoom: true,
    deletion: null,
    incompleteDeletion: null,
    adoption: null,
    isIdTaken: false,
    isDuplicateEvent: false,
    holds: [],
    runningCancellations: [],
  };
  const decide = (participants: readonly Participant[]) =>
    onObservation(snapshot, {
      observation: {
        kind: 'participants',
        callId: 'c1',
        ...listed(participants, 9_000, versionOf(call?.roster ?? null)),
      },
      policy: POLICY,
      adopted: null,
      leaseMs: null,
    });
  expect(writesNothing(decide([AGENT, PERSON]))).toBe(true);
  expect(writesNothing(decide([AGENT]))).toBe(false);
});
