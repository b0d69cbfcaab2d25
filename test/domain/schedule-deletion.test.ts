import { expect, test } from 'vitest';
import { completeDeletion, leaseDeletion, scheduleDeletion } from '../../src/domain/schedule-deletion.ts';

const CALL = { id: 'c1', roomName: 'room', cancellationId: null };
const DISCARDED = {
  callId: 'c1',
  roomName: 'room',
  cancellationId: null,
  state: 'discarded',
  attempt: 3,
  scheduledAt: 1_000,
  attemptedAt: 1_000,
  finalizedAt: 2_000,
  lastError: 'timed_out',
  createdAt: 500,
} as const;

test('a new deletion is available now, without an attempt', () => {
  expect(scheduleDeletion(CALL, null, 5_000)).toEqual({
    callId: 'c1',
    roomName: 'room',
    cancellationId: null,
    state: 'available',
    attempt: 0,
    scheduledAt: 5_000,
    attemptedAt: null,
    finalizedAt: null,
    lastError: null,
    createdAt: 5_000,
  });
});

test('a deletion that is scheduled again keeps its attempts, so that an older lease stays lost', () => {
  expect(scheduleDeletion(CALL, DISCARDED, 5_000)).toEqual({
    ...DISCARDED,
    state: 'available',
    scheduledAt: 5_000,
    finalizedAt: null,
    lastError: null,
    createdAt: 5_000,
  });
});

test('a lease is the next attempt, until the lease ends', () => {
  const leased = { state: 'running', scheduledAt: 7_000, attemptedAt: 5_000, createdAt: 5_000 };
  const lease = { now: 5_000, leaseMs: 2_000 };
  expect(leaseDeletion(CALL, null, lease)).toMatchObject({ ...leased, callId: 'c1', attempt: 1 });
  expect(leaseDeletion(CALL, DISCARDED, lease)).toMatchObject({
    ...leased,
    attempt: 4,
    finalizedAt: null,
    lastError: null,
  });
});

test('a completed deletion has an attempt, also when no attempt was made', () => {
  const available = scheduleDeletion(CALL, null, 5_000);
  expect(completeDeletion(available, 6_000)).toEqual({
    ...available,
    state: 'completed',
    attempt: 1,
    attemptedAt: 6_000,
    finalizedAt: 6_000,
  });
  expect(completeDeletion(DISCARDED, 6_000)).toEqual({
    ...DISCARDED,
    state: 'completed',
    finalizedAt: 6_000,
  });
});
