import { beforeEach, describe, expect, test } from 'vitest';
import type { Participant, RoomEventPayload } from '../../src/domain/room-event.ts';
import { versionOf } from '../../src/domain/roster.ts';
import { type CallMemory, createCallMemory, ROOM } from '../harness/call-memory.ts';
import { AGENT, inbound, joined, left, PERSON } from '../harness/rosters.ts';

const PHONE = inbound({ callStatus: 'active' });
const STARTED: RoomEventPayload = { kind: 'room_started' };
const FINISHED: RoomEventPayload = { kind: 'room_finished' };

let memory: CallMemory;
beforeEach(() => {
  memory = createCallMemory();
});

/** Applies LiveKit's list of the participants. */
const list = (participants: readonly Participant[], requestedAt: number, callId = 'c1') => {
  const version = versionOf(memory.call(callId)?.roster ?? null);
  const listed = { participants, requestedAt, version, isTrusted: true };
  return memory.observe({ kind: 'participants', callId, ...listed }, requestedAt);
};

test('an event is applied once, with its time and its cause in the audit log', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  expect(memory.receive(STARTED, { id: 'EV_same' })).toEqual({
    kind: 'applied',
    callId: 'c1',
    wasAdopted: false,
    decision: { kind: 'advance', to: 'connecting' },
    deletion: null,
    isListedAfterEnd: false,
    dueAt: null,
  });
  expect(memory.receive(FINISHED, { id: 'EV_same' })).toEqual({ kind: 'duplicate' });
  expect(memory.call()).toMatchObject({ status: 'connecting', startedAt: 2_000, roomId: 'RM_1' });
  expect(memory.auditOf('c1')).toMatchObject([
    { action: 'call.created', actor: 'api_key', toStatus: 'initiated' },
    {
      action: 'call.status_changed',
      at: 5_000,
      actor: 'livekit',
      actorId: 'EV_same',
      fromStatus: 'initiated',
      toStatus: 'connecting',
      reason: 'room_started',
    },
  ]);
});

test('the id of an event of an unknown room is stored, so the repeated event is a duplicate', () => {
  expect(memory.receive(STARTED, { id: 'EV_same' })).toEqual({ kind: 'unknown_room' });
  memory.register({ id: 'c1', roomName: 'room' });
  expect(memory.receive(STARTED, { id: 'EV_same' })).toEqual({ kind: 'duplicate' });
  expect(memory.call()?.status).toBe('initiated');
});

test("the audit log has LiveKit's reason for a participant who left", () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.receive(left(PHONE, 'CONNECTION_TIMEOUT'));
  expect(memory.auditOf('c1').at(-1)).toMatchObject({ reason: 'participant_left: CONNECTION_TIMEOUT' });
});

test('an end that webhooks imply is due for review at once, and a list that confirms it ends the call', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.receive(joined(PHONE));
  expect(memory.receive(left(PHONE), { now: 6_000 })).toMatchObject({
    decision: { kind: 'nothing' },
    dueAt: 6_000,
  });
  expect(memory.call()).toMatchObject({ status: 'active', reviewAt: 6_000 });
  expect(memory.deletionOf('c1')).toBeNull();
  expect(list([], 6_500)).toMatchObject({
    decision: { kind: 'end', status: 'completed' },
    deletion: null,
    dueAt: 6_500,
  });
  expect(memory.call()).toMatchObject({ status: 'completed', endedAt: 6_000, reviewAt: null });
  expect(memory.deletionOf('c1')).toMatchObject({ state: 'available', attempt: 0, scheduledAt: 6_500 });
});

test('room_finished ends a call at once, without a deletion', () => {
  memory.register({ id: 'c1', roomName: 'room', status: 'active' });
  expect(memory.receive(FINISHED, { now: 7_000 })).toMatchObject({ decision: { kind: 'end' }, dueAt: null });
  expect(memory.call()?.status).toBe('completed');
  expect(memory.deletionOf('c1')).toBeNull();
});

test('an event belongs to the newest call in the room, also when the clock was set back before the registration', () => {
  memory.register({ id: 'z', roomName: 'room', createdAt: 4_000 });
  memory.cancel('z', 4_500);
  memory.settle('z');
  memory.register({ id: 'a', roomName: 'room', createdAt: 3_000 });
  expect(memory.receive(STARTED)).toMatchObject({ callId: 'a', decision: { to: 'connecting' } });
  expect(memory.deletionOf('z')).toMatchObject({ state: 'completed' });
  memory.cancel('a', 5_500);
  expect(memory.receive(STARTED, { now: 6_000 })).toMatchObject({
    callId: 'a',
    decision: { kind: 'delete_room' },
  });
});

test('a running deletion loses its lease when its room is recreated', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.cancel('c1');
  expect(memory.receive(joined(PERSON))).toMatchObject({
    decision: { kind: 'delete_room' },
    dueAt: 5_000,
    deletion: null,
  });
  // The attempt stays 1, and the next claim is attempt 2.
  expect(memory.deletionOf('c1')).toMatchObject({ state: 'available', attempt: 1, scheduledAt: 5_000 });
  expect(memory.auditOf('c1').at(-1)).toMatchObject({
    action: 'call.room_deletion_reopened',
    actor: 'livekit',
  });
});

test('the audit log dates a recreated room after the cancel when LiveKit reports the first creation', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.cancel('c1', 4_000);
  memory.receive(STARTED, { now: 5_000, at: 3_000 });
  expect(memory.auditOf('c1').map(({ action, at }) => [action, at])).toEqual([
    ['call.created', expect.any(Number)],
    ['call.status_changed', 4_000],
    ['call.room_deletion_reopened', 4_000],
  ]);
});

test('a phone left alone is due for review after the grace period, unless an agent returned', () => {
  for (const id of ['c1', 'c2']) {
    memory.register({ id, roomName: id });
    const room = { in: { ...ROOM, name: id } };
    memory.receive(joined(PHONE), room);
    memory.receive(joined(AGENT), room);
    memory.receive(left(AGENT), room);
  }
  memory.receive(joined({ ...AGENT, sid: 'PA_2' }), { now: 6_000, in: { ...ROOM, name: 'c2' } });
  expect(memory.dueReviews(34_999)).toEqual([]);
  expect(memory.dueReviews(35_000)).toEqual(['c1']);
  list([PHONE], 35_000);
  expect(memory.call('c1')).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
  expect(memory.deletionOf('c1')).toMatchObject({ state: 'available' });
  expect(memory.call('c2')).toMatchObject({ status: 'active' });
  expect(memory.dueReviews(1_000_000)).toEqual([]);
});

test('a cancelled call is not reviewed', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.receive(joined(PHONE));
  memory.receive(left(PHONE), { now: 6_000 });
  memory.cancel('c1', 6_001);
  expect(memory.dueReviews(1_000_000)).toEqual([]);
});

test('a late event of the previous call in the room does not end the next call', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.receive(STARTED);
  memory.cancel('c1', 5_500);
  memory.settle('c1');
  memory.register({ id: 'c2', roomName: 'room', createdAt: 6_000 });
  const earlier = { name: 'room', sid: 'RM_never_seen', createdAt: 2_500, metadata: '' };
  expect(memory.receive(FINISHED, { now: 7_000, in: earlier })).toEqual({ kind: 'unknown_room' });
  expect(memory.receive(FINISHED, { now: 7_000 })).toEqual({ kind: 'unknown_room' });
  expect(memory.call('c2')).toMatchObject({ status: 'initiated', updatedAt: 6_000 });
});

test('an event of an earlier session changes nothing', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.receive(STARTED);
  const before = memory.call();
  memory.receive(FINISHED, { now: 9_000, in: { ...ROOM, sid: 'RM_0', createdAt: 1_500 } });
  expect(memory.call()).toEqual(before);
});

test('a call that was registered after its room started ends with the room, also when room_finished is its first event', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.receive(left(PERSON));
  expect(memory.observe({ kind: 'room_absent', callId: 'c1', sid: ROOM.sid }, 9_000)).toMatchObject({
    decision: { kind: 'end', status: 'failed', failureReason: 'ROOM_FINISHED' },
  });
});

test('a room becomes a call by the longest prefix', () => {
  memory.addPrefix('ro', 'other');
  memory.addPrefix('roo', 'org');
  const result = memory.receive(joined(PHONE));
  expect(result).toMatchObject({ kind: 'applied', wasAdopted: true });
  expect(memory.calls()).toMatchObject([
    {
      organizationId: 'org',
      adoptedPrefix: 'roo',
      agentId: 'a',
      direction: 'inbound',
      phoneNumber: PHONE.phone?.phoneNumber,
      status: 'active',
    },
  ]);
});

describe('in an adopted room whose call has ended', () => {
  const nextPhone = inbound({ callStatus: 'active' }, 'next');
  let first = '';
  beforeEach(() => {
    memory.addPrefix('room');
    const result = memory.receive(joined(PHONE));
    if (result.kind !== 'applied') throw new Error(result.kind);
    first = result.callId;
  });

  test('a new caller begins a call, and the deletion of the earlier call is complete', () => {
    memory.cancel(first, 6_000, { leaseMs: 1_000 });
    const result = memory.receive(joined(nextPhone), { now: 6_500 });
    expect(result).toMatchObject({ kind: 'applied', wasAdopted: true, decision: { to: 'active' } });
    if (result.kind !== 'applied') throw new Error(result.kind);
    expect(result.callId).not.toBe(first);
    expect(memory.deletionOf(first)).toMatchObject({ state: 'completed', attempt: 1, finalizedAt: 6_500 });
    expect(memory.call(result.callId)).toMatchObject({ createdAt: 6_500, adoptedPrefix: 'room' });
  });

  test('a deletion without an attempt is complete too', () => {
    memory.receive(left(PHONE), { now: 6_000 });
    list([], 6_100, first);
    expect(memory.deletionOf(first)).toMatchObject({ state: 'available', attempt: 0 });
    expect(memory.receive(joined(nextPhone), { now: 7_000 })).toMatchObject({ wasAdopted: true });
    expect(memory.deletionOf(first)).toMatchObject({ state: 'completed', finalizedAt: 7_000 });
  });

  test('a caller with another sip.callID is a new caller, and with the same sip.callID is not', () => {
    memory.cancel(first, 6_000);
    const again = { ...PHONE, sid: 'PA_again' };
    expect(memory.receive(joined(again), { now: 6_100 })).toMatchObject({
      wasAdopted: false,
      decision: { kind: 'delete_room' },
    });
    const calls = { ...PHONE, sid: 'PA_later', phone: nextPhone.phone };
    expect(memory.receive(joined(calls), { now: 6_200 })).toMatchObject({ wasAdopted: true });
  });
});
