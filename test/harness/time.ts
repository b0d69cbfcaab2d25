import type { Clock } from '../../src/ports/system.ts';
import { systemTicks, type Ticks } from '../../src/reconciler/reconciler.ts';

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

/** Schedules that run every few seconds run 20 times a second; the others run by the machine's clock. */
export function quickTicks(clock: Clock): Ticks {
  const ticks = systemTicks(clock);
  return {
    every(cron, run) {
      if (!cron.startsWith('*')) return ticks.every(cron, run);
      const timer = setInterval(run, QUICK_TICK_MS);
      return { destroy: () => clearInterval(timer) };
    },
    after: ticks.after,
  };
}
