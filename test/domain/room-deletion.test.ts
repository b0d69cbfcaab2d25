import { expect, test } from 'vitest';
import { resolveAttempt } from '../../src/domain/room-deletion.ts';

const POLICY = { firstDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 };
const first = { attempt: 1, createdAt: 0 };
const now = { policy: POLICY, now: 5_000, random: 0 };

test('a deleted room and an absent one complete the deletion', () => {
  expect(resolveAttempt(first, { kind: 'deleted' }, now)).toEqual({ state: 'completed' });
  expect(resolveAttempt(first, { kind: 'absent' }, now)).toEqual({ state: 'completed' });
});

test('a failed attempt makes a deletion retryable with the cause', () => {
  expect(
    resolveAttempt(first, { kind: 'unavailable', code: null, detail: 'connect ECONNREFUSED' }, now),
  ).toEqual({
    state: 'retryable',
    retryAfterMs: 1_000,
    lastError: 'unavailable: connect ECONNREFUSED',
  });
  expect(resolveAttempt(first, { kind: 'timed_out', detail: 'no answer' }, now).state).toBe('retryable');
  expect(
    resolveAttempt(
      first,
      { kind: 'refused', by: 'credentials', code: 'unauthenticated', detail: 'invalid token' },
      now,
    ),
  ).toMatchObject({ state: 'retryable', lastError: 'refused (unauthenticated): invalid token' });
});

test('a failed attempt after the maximum age discards a deletion with the cause', () => {
  const outcome = { kind: 'timed_out', detail: 'no answer' } as const;
  expect(resolveAttempt(first, outcome, { ...now, now: 86_400_000 })).toEqual({
    state: 'discarded',
    lastError: 'timed_out: no answer',
  });
});

test('the stored error of LiveKit is truncated', () => {
  const settlement = resolveAttempt(
    first,
    { kind: 'unavailable', code: null, detail: 'x'.repeat(10_000) },
    now,
  );
  expect(settlement).toMatchObject({ lastError: expect.stringMatching(/^unavailable: x{487}$/) });
});
