import { afterEach, describe, expect, test, vi } from 'vitest';
import { useUtcTimeZone } from '../../src/platform/environment.ts';
import { createScheduler } from '../../src/reconciler/scheduler.ts';

const TZ = process.env.TZ;
afterEach(() => {
  vi.useRealTimers();
  if (TZ === undefined) delete process.env.TZ;
  else process.env.TZ = TZ;
});

const HOUR_MS = 3_600_000;
const scheduler = createScheduler({ now: () => Date.now() });

/** Counts the runs of a schedule. */
function counter() {
  const count = {
    runs: 0,
    run() {
      count.runs += 1;
    },
  };
  return count;
}

describe('cron', () => {
  test.each([
    ['repeats an hour', '2026-10-25T00:59:55Z'],
    ['skips an hour', '2027-03-28T00:59:55Z'],
  ])('runs at each match while the time zone of the machine %s', async (_, now) => {
    process.env.TZ = 'Europe/Berlin';
    useUtcTimeZone();
    vi.useFakeTimers({ now: Date.parse(now) });
    const [second, quarter, hour] = [counter(), counter(), counter()];
    scheduler.cron('* * * * * *', second.run);
    scheduler.cron('*/15 * * * * *', quarter.run);
    scheduler.cron('7 0 * * * *', hour.run);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(second.runs).toBeGreaterThanOrEqual(55);
    expect(quarter.runs).toBe(4);
    expect(hour.runs).toBe(1);
  });

  test('keeps its schedule when the clock is set back an hour', async () => {
    vi.useFakeTimers({ now: Date.parse('2026-06-01T12:00:00Z') });
    const quarter = counter();
    scheduler.cron('*/15 * * * * *', quarter.run);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(quarter.runs).toBe(4);
    vi.setSystemTime(Date.now() - HOUR_MS);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(quarter.runs).toBeGreaterThanOrEqual(7);
  });
});

test('an interval and a delay do not depend on the wall clock', async () => {
  vi.useFakeTimers({ now: Date.parse('2026-06-01T12:00:00Z') });
  const [interval, delay] = [counter(), counter()];
  scheduler.every(5_000, interval.run);
  scheduler.after(20_000, delay.run);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([interval.runs, delay.runs]).toEqual([2, 0]);
  vi.setSystemTime(Date.now() - HOUR_MS);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([interval.runs, delay.runs]).toEqual([4, 1]);
});

test('a delay beyond the longest timer of Node.js does not run at once', async () => {
  vi.useFakeTimers();
  const delay = counter();
  scheduler.after(10_000 * HOUR_MS, delay.run);
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(delay.runs).toBe(0);
});

test('a cancelled schedule does not run and leaves no timer', async () => {
  vi.useFakeTimers();
  const cancelled = counter();
  const cancels = [
    scheduler.cron('* * * * * *', cancelled.run),
    scheduler.every(1_000, cancelled.run),
    scheduler.after(1_000, cancelled.run),
  ];
  for (const cancel of cancels) cancel();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(cancelled.runs).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});
