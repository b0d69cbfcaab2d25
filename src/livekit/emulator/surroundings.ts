import { randomBytes } from 'node:crypto';

/** Time and chance as the rooms need them: the process's own, unless a simulation plays them. */
export interface Surroundings {
  now(): number;
  /** Keeps no process alive. @returns what calls it off */
  after(delayMs: number, run: () => void): () => void;
  randomBytes(count: number): Uint8Array;
}

export const REAL_SURROUNDINGS: Surroundings = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs).unref();
    return () => clearTimeout(timer);
  },
  randomBytes: (count) => randomBytes(count),
};
