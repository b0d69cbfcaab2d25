import type { Timestamp } from '../domain/time.ts';
import type { LiveCounts } from './store.ts';

/**
 * A database's schema, compared with the schema of this version.
 * uninitialized: hangup did not create it.
 * behind: `hangup migrate` updates it.
 * ahead: a newer or another version created it.
 */
export type SchemaVersion = 'uninitialized' | 'behind' | 'current' | 'ahead';

/** The contents of a database file, for `hangup doctor`. */
export type DatabaseFacts =
  | {
      readonly kind: 'unusable';
      readonly detail: string;
      /** Null when no advice fits this fault better than the general one. */
      readonly advice: string | null;
    }
  | {
      readonly kind: 'open';
      readonly schema: SchemaVersion;
      readonly isIncompleteCopy: boolean;
      readonly journalMode: string;
      /** Faults that SQLite's quick_check reports. */
      readonly corruption: readonly string[];
      /** Null when the schema is not current, or the database is damaged or an incomplete copy. */
      readonly calls: CallFacts | null;
    };

/** The facts of a Postgres database, for `hangup doctor`. */
export type PostgresFacts =
  | { readonly kind: 'unusable'; readonly detail: string }
  | {
      readonly kind: 'open';
      readonly schema: SchemaVersion;
      readonly isIncompleteCopy: boolean;
      readonly version: string;
      readonly synchronousCommit: string;
      /** `synchronous_standby_names`; empty: commits wait for no standby. */
      readonly standbys: string;
      /** Null when the schema is not current, or the database is an incomplete copy. */
      readonly calls: CallFacts | null;
    };

export interface CallFacts {
  readonly counts: LiveCounts;
  readonly lastWebhookAt: Timestamp | null;
  /** URLs of the LiveKit servers that this database was used with, the latest first. */
  readonly livekitServers: readonly string[];
  /** Number of LiveKit's rooms by the newest call of each: live, ended, or without a call. */
  readonly rooms: { readonly live: number; readonly ended: number; readonly unknown: number };
}

/** The response of a LiveKit server to one authenticated request, for `hangup doctor`. */
export type LiveKitFacts =
  | { readonly kind: 'unreachable'; readonly detail: string }
  | { readonly kind: 'answered'; readonly verdict: LiveKitVerdict; readonly clockSkewMs: number | null };

/**
 * The reason of a refusal is `key` when LiveKit does not have the API key, and `token` when LiveKit has the key and
 * rejects the token.
 */
export type LiveKitVerdict =
  | { readonly kind: 'accepted'; readonly roomNames: readonly string[] }
  | { readonly kind: 'refused'; readonly reason: 'key' | 'token' }
  | { readonly kind: 'not_livekit'; readonly status: number };

/** The connections of a process to the database. */
export interface ConnectionCounts {
  readonly max: number;
  readonly open: number;
  readonly inUse: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
}
