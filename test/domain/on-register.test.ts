import { beforeEach, expect, test } from 'vitest';
import { nextCreatedAt } from '../../src/domain/call.ts';
import { type CallMemory, createCallMemory } from '../harness/call-memory.ts';

let memory: CallMemory;
beforeEach(() => {
  memory = createCallMemory();
});

test('a registered call is stored as requested, with an audit event of its API key', () => {
  expect(memory.register({ id: 'c1', roomName: 'room', agentId: 'a' })).toMatchObject({
    kind: 'registered',
    call: { id: 'c1', roomName: 'room', agentId: 'a', status: 'initiated', createdAt: 1_000 },
  });
  expect(memory.auditOf('c1')).toEqual([
    {
      at: 1_000,
      organizationId: 'org',
      action: 'call.created',
      actor: 'api_key',
      actorId: 'key',
      subjectId: 'c1',
      fromStatus: null,
      toStatus: 'initiated',
      reason: null,
      cancellationId: null,
      details: null,
    },
  ]);
  memory.register({ id: 'c2' }, null);
  expect(memory.auditOf('c2')).toMatchObject([{ actor: 'operator', actorId: null }]);
});

test('an id is taken for every organization', () => {
  memory.register({ id: 'c1' });
  expect(memory.register({ id: 'c1', roomName: 'r2' })).toEqual({ kind: 'id_taken' });
  const theirs = { id: 'c1', roomName: 'r2', organizationId: 'other' };
  expect(memory.register(theirs)).toEqual({ kind: 'id_taken' });
  expect(memory.calls()).toHaveLength(1);
});

test('a room name is taken while its call is live, and while the deletion of its room is not complete', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  expect(memory.register({ id: 'c2', roomName: 'room' })).toEqual({ kind: 'room_name_taken' });
  memory.cancel('c1');
  expect(memory.register({ id: 'c2', roomName: 'room' })).toEqual({ kind: 'room_name_taken' });
  memory.settle('c1');
  expect(memory.register({ id: 'c2', roomName: 'room' })).toMatchObject({ kind: 'registered' });
});

test('a room name stays taken when its deletion was discarded: the room may be alive', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  memory.cancel('c1');
  memory.settle('c1', 3_000, 'discarded');
  expect(memory.register({ id: 'c2', roomName: 'room' })).toEqual({ kind: 'room_name_taken' });
});

test('a call is newer than the previous call in the room, also when the clock was set back', () => {
  expect(nextCreatedAt(3_000, null)).toBe(3_000);
  expect(nextCreatedAt(3_000, { createdAt: 2_000 })).toBe(3_000);
  expect(nextCreatedAt(3_000, { createdAt: 3_000 })).toBe(3_001);
  memory.register({ id: 'c1', roomName: 'room', createdAt: 4_000 });
  memory.cancel('c1', 4_500);
  memory.settle('c1');
  memory.register({ id: 'c2', roomName: 'room', createdAt: 3_000 });
  expect(memory.call('c2')?.createdAt).toBe(4_001);
  expect(memory.auditOf('c2')).toMatchObject([{ at: 3_000 }]);
});
