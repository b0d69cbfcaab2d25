import type { Timestamp } from '../domain/time.ts';

export interface Clock {
  now(): Timestamp;
}

/** Timers. They do not keep the process alive. Each method returns a function that stops the timer. */
export interface Timers {
  after(delayMs: number, run: () => void): () => void;
  every(intervalMs: number, run: () => void): () => void;
}

/** Source of randomness. */
export interface Random {
  /** In [0, 1). */
  fraction(): number;
  bytes(count: number): Uint8Array;
  /** Returns a new id `<prefix>_<32 hex digits>`. Later ids sort after earlier ones. */
  id(prefix: 'call' | 'can' | 'key' | 'org' | 'proc' | 'req'): string;
}

/** Structured log: fields first, then a constant message. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
