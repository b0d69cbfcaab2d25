import { randomBytes, randomUUIDv7 } from 'node:crypto';
import type { Clock, Random, Timers } from '../ports/system.ts';

export const systemClock: Clock = { now: () => Date.now() };

export const systemTimers: Timers = {
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs).unref();
    return () => clearTimeout(timer);
  },
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs).unref();
    return () => clearInterval(timer);
  },
};

export const systemRandom: Random = {
  fraction: () => Math.random(),
  bytes: (count) => randomBytes(count),
  id: (prefix) => `${prefix}_${randomUUIDv7().replaceAll('-', '')}`,
};
