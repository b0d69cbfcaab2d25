import type { Timestamp } from '../domain/time.ts';

export interface Clock {
  now(): Timestamp;
}

/** Randomness, as the operations need it. */
export interface Random {
  /** In [0, 1). */
  fraction(): number;
  bytes(count: number): Uint8Array;
  /** A new id `<prefix>_<32 hex digits>`; ids made later sort later. */
  id(prefix: 'call' | 'key' | 'org' | 'req'): string;
}

/** Structured logging: fields first, then a constant sentence. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
