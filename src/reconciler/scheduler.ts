import { schedule } from 'node-cron';
import type { Clock } from '../ports/system.ts';

/** Triggers background work. Each method returns a function that cancels further runs. */
export interface Scheduler {
  /** Runs at every match of a cron expression with seconds, by the wall clock. */
  cron(expression: string, run: () => void): () => void;
  /** Runs every `intervalMs`, first after one interval. Changes of the wall clock have no effect. */
  every(intervalMs: number, run: () => void): () => void;
  /** Runs once after `delayMs`, at most 24 days. Changes of the wall clock have no effect. */
  after(delayMs: number, run: () => void): () => void;
}

/** The longest delay of a timer in Node.js. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const CLOCK_CHECK_INTERVAL_MS = 1_000;
/** A busy process may miss a match of the expression. The next match does the same work. */
const CRON_OPTIONS = { suppressMissedWarning: true };

/**
 * Creates the scheduler of a process, with node-cron and timers. The process must use UTC: node-cron runs nothing in the
 * hour that local time repeats in autumn, and its option `timezone` does not help.
 */
export function createScheduler(clock: Clock): Scheduler {
  return {
    cron(expression, run) {
      let task = schedule(expression, run, CRON_OPTIONS);
      let checkedAt = clock.now();
      // After the clock is set back, node-cron waits until the old time is reached again.
      const clockCheck = setInterval(() => {
        const now = clock.now();
        if (now < checkedAt) {
          void task.destroy();
          task = schedule(expression, run, CRON_OPTIONS);
        }
        checkedAt = now;
      }, CLOCK_CHECK_INTERVAL_MS);
      return () => {
        clearInterval(clockCheck);
        void task.destroy();
      };
    },
    every(intervalMs, run) {
      const timer = setInterval(run, intervalMs);
      return () => clearInterval(timer);
    },
    after(delayMs, run) {
      const timer = setTimeout(run, Math.min(Math.max(0, delayMs), MAX_TIMER_MS));
      return () => clearTimeout(timer);
    },
  };
}
