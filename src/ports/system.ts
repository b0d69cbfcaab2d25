import type { Timestamp } from '../domain/time.ts';

export interface Clock {
  now(): Timestamp;
}

/** The randomness that operations need. */
export interface Random {
  /** Returns a number in [0, 1). */
  fraction(): number;
  bytes(count: number): Uint8Array;
  /** Returns a new id `<prefix>_<32 hex digits>`. Newer ids sort after older ones. */
  id(prefix: 'call' | 'key' | 'org' | 'req'): string;
}

/** A structured logger: fields first, then a constant message. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
