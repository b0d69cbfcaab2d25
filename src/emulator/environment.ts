import { randomBytes } from 'node:crypto';

/** The clock, timers and randomness of an emulator. A simulation supplies its own. */
export interface Environment {
  /** Unix time in milliseconds. */
  now(): number;
  /** Runs the callback once; the timer does not keep the process alive. @returns a function that cancels the timer */
  setTimer(delayMs: number, run: () => void): () => void;
  randomBytes(count: number): Uint8Array;
}

export const SYSTEM_ENVIRONMENT: Environment = {
  now: () => Date.now(),
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs).unref();
    return () => clearTimeout(timer);
  },
  randomBytes: (count) => randomBytes(count),
};

/** Resolves after the delay. @throws if the signal is aborted first */
export async function wait(delayMs: number, signal: AbortSignal, environment: Environment): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancelTimer = environment.setTimer(delayMs, resolve);
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await promise;
  } finally {
    cancelTimer();
    signal.removeEventListener('abort', abort);
  }
}

const ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

type RandomSource = Pick<Environment, 'randomBytes'>;

/** Returns an id in LiveKit's format: the prefix and twelve random characters. */
export function newId(prefix: string, environment: RandomSource): string {
  const bytes = environment.randomBytes(12);
  return prefix + Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}

/** Returns a random UUID, version 4. */
export function newUuid(environment: RandomSource): string {
  const bytes = Uint8Array.from(environment.randomBytes(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
