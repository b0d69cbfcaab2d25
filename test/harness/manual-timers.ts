import { systemTimers } from '../../src/platform/clock.ts';
import type { Timers } from '../../src/ports/system.ts';

/** Longer timers run when a test fires them. */
const LONGEST_MS = 100;

/** Returns timers of which short ones run by the machine's clock, and long ones when the test fires them. */
export function manualTimers(): Timers & {
  /** Runs the timers of this delay. Returns their number. */
  fire(delayMs: number): number;
  /** The delays of the long timers, in the order of their start. */
  pending(): number[];
} {
  const timers = new Set<{ readonly delayMs: number; readonly run: () => void }>();
  const add = (delayMs: number, run: () => void) => {
    const timer = { delayMs, run };
    timers.add(timer);
    return { timer, stop: () => void timers.delete(timer) };
  };
  return {
    after(delayMs, run) {
      if (delayMs <= LONGEST_MS) return systemTimers.after(delayMs, run);
      const { timer, stop } = add(delayMs, () => {
        timers.delete(timer);
        run();
      });
      return stop;
    },
    every: (intervalMs, run) =>
      intervalMs <= LONGEST_MS ? systemTimers.every(intervalMs, run) : add(intervalMs, run).stop,
    fire(delayMs) {
      const due = [...timers].filter((timer) => timer.delayMs === delayMs);
      for (const { run } of due) run();
      return due.length;
    },
    pending: () => [...timers].map(({ delayMs }) => delayMs),
  };
}
