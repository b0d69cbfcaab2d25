import { expect, vi } from 'vitest';
import type { Clock } from '../../src/ports/system.ts';
import { createScheduler, type Scheduler } from '../../src/reconciler/scheduler.ts';

/** Options of vi.waitFor, for code outside of a test, where expect.poll does not work. */
export const WAIT = { timeout: 20_000, interval: 10 };

/** Returns a poll of a value, for concurrent tests: vitest may refuse their expect.poll when another test ends. */
export function poll<T>(read: () => T | Promise<T>, { timeout = WAIT.timeout } = {}) {
  return {
    toBe: (expected: T) => vi.waitFor(async () => expect(await read()).toBe(expected), { ...WAIT, timeout }),
  };
}

const QUICK_TICK_MS = 50;

/** Returns the machine's clock, ahead by the time that the test has added. */
export function movableClock(): Clock & { advance(ms: number): void } {
  let aheadMs = 0;
  return {
    now: () => Date.now() + aheadMs,
    advance(ms) {
      aheadMs += ms;
    },
  };
}

/** Returns a scheduler that runs schedules of a few seconds 20 times a second, and all others at their own times. */
export function quickScheduler(clock: Clock): Scheduler {
  const scheduler = createScheduler(clock);
  return {
    cron: (expression, run) =>
      expression.startsWith('*') ? scheduler.every(QUICK_TICK_MS, run) : scheduler.cron(expression, run),
    every: (intervalMs, run) => scheduler.every(intervalMs <= 5_000 ? QUICK_TICK_MS : intervalMs, run),
    after: scheduler.after,
  };
}
