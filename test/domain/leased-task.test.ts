import { expect, test } from 'vitest';
import { type AttemptOutcome, resolveAttempt } from '../../src/domain/leased-task.ts';

const POLICY = { initialDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 };
const task = { attempt: 1, createdAt: 0 };
const at = (now: number) => ({ policy: POLICY, now, random: 0 });
const failure = (minRetryDelayMs = 0): AttemptOutcome => ({
  kind: 'failed',
  error: 'HTTP 500',
  minRetryDelayMs,
});

test('a successful attempt completes the task', () => {
  expect(resolveAttempt(task, { kind: 'succeeded' }, at(5_000))).toEqual({ state: 'completed' });
});

test('a failed attempt is retried after the delay of the policy, with its error', () => {
  expect(resolveAttempt(task, failure(), at(5_000))).toEqual({
    state: 'retryable',
    retryAfterMs: 1_000,
    lastError: 'HTTP 500',
  });
  expect(resolveAttempt({ ...task, attempt: 3 }, failure(), at(5_000))).toMatchObject({
    retryAfterMs: 4_000,
  });
});

test('the retry delay is at least the delay required by the remote side, up to the maximum delay', () => {
  expect(resolveAttempt(task, failure(500), at(5_000))).toMatchObject({ retryAfterMs: 1_000 });
  expect(resolveAttempt(task, failure(30_000), at(5_000))).toMatchObject({ retryAfterMs: 30_000 });
  expect(resolveAttempt(task, failure(3_600_000), at(5_000))).toMatchObject({ retryAfterMs: 60_000 });
});

test('a failed task is discarded with its error when the next attempt would exceed the maximum age', () => {
  expect(resolveAttempt(task, failure(), at(86_399_000)).state).toBe('retryable');
  expect(resolveAttempt(task, failure(), at(86_399_001))).toEqual({
    state: 'discarded',
    lastError: 'HTTP 500',
  });
});

test('the stored error is cut at 500 characters', () => {
  const outcome = { ...failure(), error: 'x'.repeat(10_000) } as AttemptOutcome;
  expect(resolveAttempt(task, outcome, at(5_000))).toMatchObject({ lastError: 'x'.repeat(500) });
  expect(resolveAttempt(task, outcome, at(86_400_000))).toMatchObject({ lastError: 'x'.repeat(500) });
});
