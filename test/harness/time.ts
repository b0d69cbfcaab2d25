import type { Clock } from '../../src/ports/system.ts';
import { createScheduler, type Scheduler } from '../../src/reconciler/scheduler.ts';

/** For vi.waitFor, where there is no test whose expect.poll could wait. */
export const WAIT = { timeout: 20_000, interval: 10 };

const QUICK_TICK_MS = 50;

/** A clock that a test moves: it goes like the machine's clock, ahead by what the test has added. */
export function movableClock(): Clock & { advance(ms: number): void } {
  let aheadMs = 0;
  return {
    now: () => Date.now() + aheadMs,
    advance(ms) {
      aheadMs += ms;
    },
  };
}

/** Schedules that run every few seconds run 20 times a second; the others run at their own times. */
export function quickScheduler(clock: Clock): Scheduler {
  const scheduler = createScheduler(clock);
  return {
    cron: (expression, run) =>
      expression.startsWith('*') ? scheduler.every(QUICK_TICK_MS, run) : scheduler.cron(expression, run),
    every: (intervalMs, run) => scheduler.every(intervalMs <= 5_000 ? QUICK_TICK_MS : intervalMs, run),
    after: scheduler.after,
  };
}
