import { expect, test } from 'vitest';
import { type AttemptOutcome, resolveAttempt, settleLease } from '../../src/domain/leased-task.ts';

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

const running = {
  state: 'running',
  attempt: 2,
  scheduledAt: 9_000,
  attemptedAt: 2_000,
  finalizedAt: null,
  lastError: 'HTTP 500',
  createdAt: 1_000,
} as const;

test('the attempt that holds the lease settles the task', () => {
  const settle = (result: Parameters<typeof settleLease>[1]['result']) =>
    settleLease(running, { attempt: 2, result, now: 3_000 });
  expect(settle({ state: 'completed' })).toEqual({ ...running, state: 'completed', finalizedAt: 3_000 });
  expect(settle({ state: 'discarded', lastError: 'gone' })).toEqual({
    ...running,
    state: 'discarded',
    finalizedAt: 3_000,
    lastError: 'gone',
  });
  expect(settle({ state: 'retryable', retryAfterMs: 500, lastError: 'HTTP 503' })).toEqual({
    ...running,
    state: 'retryable',
    scheduledAt: 3_500,
    lastError: 'HTTP 503',
  });
});

test('an attempt without the lease settles nothing', () => {
  const settlement = { result: { state: 'completed' }, now: 3_000 } as const;
  expect(settleLease(running, { ...settlement, attempt: 1 })).toBeNull();
  for (const state of ['available', 'retryable', 'completed', 'discarded'] as const) {
    expect(settleLease({ ...running, state }, { ...settlement, attempt: 2 })).toBeNull();
  }
});
