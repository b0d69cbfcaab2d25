import { expect, test } from 'vitest';
import { isLikelyGhostRoom, toAttemptOutcome } from '../../src/domain/room-deletion.ts';

test.each(['deleted', 'absent'] as const)('the attempt succeeds when the room is %s', (kind) => {
  expect(toAttemptOutcome({ kind })).toEqual({ kind: 'succeeded' });
});

test('the attempt fails with the error of LiveKit', () => {
  expect(toAttemptOutcome({ kind: 'unavailable', code: null, detail: 'connect ECONNREFUSED' })).toEqual({
    kind: 'failed',
    error: 'unavailable: connect ECONNREFUSED',
    minRetryDelayMs: 0,
  });
  expect(toAttemptOutcome({ kind: 'timed_out', detail: 'no answer' })).toMatchObject({
    error: 'timed_out: no answer',
  });
  expect(
    toAttemptOutcome({
      kind: 'refused',
      reason: 'credentials',
      code: 'unauthenticated',
      detail: 'invalid token',
    }),
  ).toMatchObject({ error: 'refused (unauthenticated): invalid token' });
});

test('the retry delay after a rate limit is at least the Retry-After of LiveKit', () => {
  const limited = { kind: 'rate_limited', retryAfterMs: 7_000, detail: 'HTTP 429' } as const;
  expect(toAttemptOutcome(limited)).toMatchObject({ minRetryDelayMs: 7_000 });
  expect(toAttemptOutcome({ ...limited, retryAfterMs: null })).toMatchObject({ minRetryDelayMs: 0 });
});

test('a room is a likely ghost from the third attempt without a response', () => {
  const timedOut = { kind: 'timed_out', detail: 'no answer' } as const;
  expect(isLikelyGhostRoom({ attempt: 2 }, timedOut)).toBe(false);
  expect(isLikelyGhostRoom({ attempt: 3 }, timedOut)).toBe(true);
  expect(isLikelyGhostRoom({ attempt: 3 }, { kind: 'unavailable', code: 'unavailable', detail: '' })).toBe(
    true,
  );
  expect(isLikelyGhostRoom({ attempt: 3 }, { kind: 'deleted' })).toBe(false);
});
