import { beforeEach, describe, expect, test } from 'vitest';
import { newCall, nextCreatedAt } from '../../src/domain/call.ts';
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

describe('Idempotency-Key', () => {
  const idempotency = { key: 'k', fingerprint: 'a call', ttlMs: 100_000 };
  const register = (id: string, roomName = id, parts: object = {}) => {
    const call = newCall({ id, organizationId: 'org', roomName, createdAt: 1_000 });
    return memory.change({ kind: 'register', call, apiKeyId: 'key', idempotency, ...parts }, 1_000);
  };

  test('a repeated request gets the first call, although each request generates an id', () => {
    const first = register('c1');
    expect(first).toMatchObject({ kind: 'registered', call: { id: 'c1' } });
    memory.cancel('c1');
    expect(register('c2')).toEqual(first);
    expect(memory.calls().map(({ id }) => id)).toEqual(['c1']);
    expect(memory.auditOf('c2')).toEqual([]);
  });

  test('a refusal is repeated, also after its cause has gone', () => {
    memory.register({ id: 'c1', roomName: 'room' });
    expect(register('c2', 'room')).toEqual({ kind: 'room_name_taken' });
    memory.cancel('c1');
    memory.settle('c1');
    expect(register('c2', 'room')).toEqual({ kind: 'room_name_taken' });
    expect(register('c2', 'room', { idempotency: null })).toMatchObject({ kind: 'registered' });
  });

  test('a refusal by a hold is repeated', () => {
    memory.addHold({
      id: 'can_1',
      organizationId: 'org',
      selector: { all: true },
      reason: 'a',
      createdBy: 'key',
    });
    const held = { kind: 'held', cancellationId: 'can_1' };
    expect(register('c1')).toEqual(held);
    expect(register('c2')).toEqual(held);
  });

  test('another request under the same key is refused, and changes nothing', () => {
    register('c1');
    const another = { idempotency: { ...idempotency, fingerprint: 'another call' } };
    expect(register('c2', 'c2', another)).toEqual({ kind: 'idempotency_key_reused' });
    const cancel = { idempotency: { ...idempotency, fingerprint: 'cancel c1' } };
    expect(memory.cancel('c1', 2_000, cancel)).toEqual({ kind: 'idempotency_key_reused' });
    expect(memory.calls()).toHaveLength(1);
  });
});
