import type { Clock } from '../../src/ports/system.ts';

/** A clock that stands still until a test sets it. */
export interface ManualClock extends Clock {
  set(now: number): void;
}

export function manualClock(start = 0): ManualClock {
  let time = start;
  return {
    now: () => time,
    set: (now) => {
      time = now;
    },
  };
}
