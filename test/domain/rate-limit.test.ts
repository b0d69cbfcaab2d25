import { expect, test } from 'vitest';
import { rateLimitStatus } from '../../src/domain/rate-limit.ts';

const statusOf = (used: number, endsInMs = 60_000) => rateLimitStatus('calls', 3, { used, endsInMs });

test('a budget is exceeded by the request after the last one of the quota', () => {
  const states = [1, 2, 3, 4, 100].map((used) => statusOf(used));
  expect(states.map(({ remaining }) => remaining)).toEqual([2, 1, 0, 0, 0]);
  expect(states.map(({ isExceeded }) => isExceeded)).toEqual([false, false, false, true, true]);
});

test.each([
  [60_000, 60],
  [59_001, 60],
  [59_000, 59],
  [1, 1],
  [0, 1],
  [-5, 1],
  // The clock was set back.
  [3_600_000, 60],
])('a window that ends in %d ms is reset in %d s', (endsInMs, seconds) => {
  expect(statusOf(1, endsInMs).resetS).toBe(seconds);
});
