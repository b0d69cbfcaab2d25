import SqliteDatabase from 'better-sqlite3';
import { StoreBusyError } from '../../domain/errors.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { WriteMethod } from './sqlite-store.ts';

/** The `workerData` of the thread of the store. */
export interface ThreadData {
  readonly file: string;
  /** The hashes of this version's migrations: the thread of the single file cannot read their files. */
  readonly migrations: readonly string[];
}

/** A write for the thread of the store. */
export interface WriteRequest {
  readonly id: number;
  readonly method: WriteMethod;
  readonly args: readonly unknown[];
  /** The time of the write, by the store's clock. */
  readonly now: Timestamp;
  /** By {@link monotonicMs}. */
  readonly expiresAtMs: number;
}

/** A message to the thread of the store: one for all writes of a turn of the event loop. */
export type Request = readonly WriteRequest[] | 'close';

export type WriteReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: PlainError };

/** A message from the thread of the store: one for all writes of a commit. */
export type Reply = 'ready' | readonly WriteReply[];

/** An error as plain data: a structured clone would lose its class and its code. */
export interface PlainError {
  readonly kind: 'busy' | 'sqlite' | 'other';
  readonly message: string;
  readonly code: string;
  readonly stack: string;
  readonly cause: PlainError | null;
}

/** Milliseconds of a monotonic clock that all threads of a process share, unlike performance.now(). */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function encodeError(error: unknown): PlainError {
  if (!(error instanceof Error)) {
    return { kind: 'other', message: String(error), code: '', stack: '', cause: null };
  }
  const isSqlite = error instanceof SqliteDatabase.SqliteError;
  return {
    kind: error instanceof StoreBusyError ? 'busy' : isSqlite ? 'sqlite' : 'other',
    message: error.message,
    code: isSqlite ? error.code : '',
    stack: error.stack ?? '',
    cause: error.cause === undefined ? null : encodeError(error.cause),
  };
}

export function decodeError({ kind, message, code, stack, cause }: PlainError): Error {
  if (kind === 'busy') return new StoreBusyError();
  const error =
    kind === 'sqlite'
      ? new SqliteDatabase.SqliteError(message, code)
      : new Error(message, cause === null ? {} : { cause: decodeError(cause) });
  return Object.assign(error, { stack });
}
