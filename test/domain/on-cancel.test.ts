import { beforeEach, describe, expect, test } from 'vitest';
import { CALL_STATUSES, isLive } from '../../src/domain/call-status.ts';
import { type CallMemory, createCallMemory } from '../harness/call-memory.ts';

let memory: CallMemory;
beforeEach(() => {
  memory = createCallMemory();
});

test('a cancel ends the call, leases the deletion of its room and appends an audit event', () => {
  memory.register({ id: 'c1', roomName: 'room' });
  const result = memory.cancel('c1', 2_000, { reason: 'because' });
  expect(result).toEqual({ kind: 'cancelled', deletion: memory.deletionOf('c1') });
  expect(memory.call('c1')).toMatchObject({
    status: 'cancelled',
    endedAt: 2_000,
    updatedAt: 2_000,
    cancelledBy: 'key',
    cancelReason: 'because',
    reviewAt: null,
  });
  expect(memory.deletionOf('c1')).toEqual({
    callId: 'c1',
    roomName: 'room',
    cancellationId: null,
    state: 'running',
    attempt: 1,
    scheduledAt: 9_000,
    attemptedAt: 2_000,
    finalizedAt: null,
    lastError: null,
    createdAt: 2_000,
  });
  expect(memory.auditOf('c1').at(-1)).toMatchObject({
    at: 2_000,
    action: 'call.status_changed',
    actor: 'api_key',
    actorId: 'key',
    fromStatus: 'initiated',
    toStatus: 'cancelled',
    reason: 'because',
  });
});

test.each(CALL_STATUSES)(
  'a cancel of a call with the status %s succeeds only if the call is live',
  (status) => {
    const isCancellable = isLive(status);
    memory.register({ id: 'c1', status, endedAt: isCancellable ? null : 1_500 });
    const before = memory.call('c1');
    const result = memory.cancel('c1');
    expect(result).toMatchObject(isCancellable ? { kind: 'cancelled' } : { kind: 'not_live', status });
    if (!isCancellable) expect(memory.call('c1')).toEqual(before);
  },
);

test('a second cancel changes nothing', () => {
  memory.register({ id: 'c1' });
  memory.cancel('c1');
  const before = [memory.call('c1'), memory.deletionOf('c1'), memory.auditOf('c1')];
  expect(memory.cancel('c1', 4_000, { reason: 'again' })).toEqual({ kind: 'not_live', status: 'cancelled' });
  expect([memory.call('c1'), memory.deletionOf('c1'), memory.auditOf('c1')]).toEqual(before);
});

test('a call of another organization is not found, and not changed', () => {
  memory.register({ id: 'c1', organizationId: 'other' });
  expect(memory.cancel('c1')).toEqual({ kind: 'not_found' });
  expect(memory.cancel('c2')).toEqual({ kind: 'not_found' });
  expect(memory.call('c1')?.status).toBe('initiated');
});

test('a call does not end before it began when the clock was set back', () => {
  memory.register({ id: 'c1', status: 'active', createdAt: 5_000, startedAt: 6_000, answeredAt: 7_000 });
  memory.cancel('c1', 100);
  expect(memory.call('c1')).toMatchObject({ endedAt: 7_000, updatedAt: 7_000 });
});

describe('Idempotency-Key', () => {
  const idempotency = { key: 'k', fingerprint: 'cancel c1', ttlMs: 100_000 };

  test('a repeated request gets the first response', () => {
    memory.register({ id: 'c1' });
    expect(memory.cancel('c1', 2_000, { idempotency })).toMatchObject({
      kind: 'cancelled',
      deletion: { state: 'running' },
    });
    const before = [memory.call('c1'), memory.deletionOf('c1'), memory.auditOf('c1')];
    // The lease is that of the first request, so a replay has no deletion.
    expect(memory.cancel('c1', 2_000, { idempotency })).toEqual({ kind: 'cancelled', deletion: null });
    expect([memory.call('c1'), memory.deletionOf('c1'), memory.auditOf('c1')]).toEqual(before);
    expect(memory.cancel('c1')).toEqual({ kind: 'not_live', status: 'cancelled' });
  });

  test('a refusal is repeated too', () => {
    memory.register({ id: 'c1', status: 'completed', endedAt: 1_500 });
    const refusal = { kind: 'not_live', status: 'completed' };
    expect(memory.cancel('c1', 2_000, { idempotency })).toEqual(refusal);
    expect(memory.cancel('c1', 2_000, { idempotency })).toEqual(refusal);
  });

  test('another request under the same key is refused, and changes nothing', () => {
    memory.register({ id: 'c1' });
    memory.register({ id: 'c2' });
    memory.cancel('c1', 2_000, { idempotency });
    const another = { ...idempotency, fingerprint: 'cancel c2' };
    expect(memory.cancel('c2', 2_000, { idempotency: another })).toEqual({ kind: 'idempotency_key_reused' });
    expect(memory.call('c2')?.status).toBe('initiated');
  });

  test('the same key of another organization is another key', () => {
    memory.register({ id: 'c1' });
    memory.register({ id: 'c2', organizationId: 'other' });
    memory.cancel('c1', 2_000, { idempotency });
    const theirs = { organizationId: 'other', idempotency: { ...idempotency, fingerprint: 'cancel c2' } };
    expect(memory.cancel('c2', 2_000, theirs)).toMatchObject({ kind: 'cancelled' });
  });

  test('a response expires, and is replaced', () => {
    memory.register({ id: 'c1' });
    memory.register({ id: 'c2' });
    memory.cancel('c1', 2_000, { idempotency });
    const later = { ...idempotency, fingerprint: 'cancel c2' };
    const cancelLater = (ttlMs: number) => memory.cancel('c2', 2_500, { idempotency: { ...later, ttlMs } });
    expect(cancelLater(500)).toEqual({ kind: 'idempotency_key_reused' });
    expect(cancelLater(499)).toMatchObject({ kind: 'cancelled' });
    expect(cancelLater(500)).toEqual({ kind: 'cancelled', deletion: null });
  });

  test('a call that is not found leaves the key unused', () => {
    expect(memory.cancel('c1', 2_000, { idempotency })).toEqual({ kind: 'not_found' });
    memory.register({ id: 'c1' });
    expect(memory.cancel('c1', 2_000, { idempotency })).toMatchObject({ kind: 'cancelled' });
  });
});
