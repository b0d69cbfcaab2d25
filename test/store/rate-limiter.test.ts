import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createRateLimiter } from '../../src/store/rate-limiter.ts';

const clock = { now: () => Date.now() };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a window starts with the first request and ends after 60 s', async () => {
  const limiter = createRateLimiter({ clock });
  expect(await limiter.count('a')).toEqual({ used: 1, endsInMs: 60_000 });
  vi.advanceTimersByTime(59_999);
  expect(await limiter.count('a')).toEqual({ used: 2, endsInMs: 1 });
  vi.advanceTimersByTime(1);
  expect(await limiter.count('a')).toEqual({ used: 1, endsInMs: 60_000 });
});

test('each key has a window of its own', async () => {
  const limiter = createRateLimiter({ clock });
  await limiter.count('a');
  vi.advanceTimersByTime(10_000);
  expect(await limiter.count('b')).toEqual({ used: 1, endsInMs: 60_000 });
  expect(await limiter.count('a')).toEqual({ used: 2, endsInMs: 50_000 });
});

test('a limiter keeps a bounded number of windows: further new keys share one', async () => {
  const limiter = createRateLimiter({ clock, maxKeys: 100 });
  for (let i = 0; i < 100; i += 1) expect((await limiter.count(`known-${i}`)).used).toBe(1);
  const windows = vi.getTimerCount();
  for (let i = 0; i < 1_000; i += 1) expect((await limiter.count(`new-${i}`)).used).toBe(i + 1);
  expect(vi.getTimerCount()).toBe(windows + 1);
  // Keys that have a window keep it.
  expect((await limiter.count('known-7')).used).toBe(2);
  vi.advanceTimersByTime(60_001);
  expect(vi.getTimerCount()).toBe(0);
  expect((await limiter.count('new-1')).used).toBe(1);
  expect((await limiter.count('new-2')).used).toBe(1);
});

test('a window has ended after 60 s also when the clock was set back', async () => {
  const limiter = createRateLimiter({ clock });
  await limiter.count('a');
  vi.setSystemTime(Date.now() - 3_600_000);
  vi.advanceTimersByTime(60_000);
  expect((await limiter.count('a')).used).toBe(1);
});
