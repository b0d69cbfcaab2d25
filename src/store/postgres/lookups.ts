import type { ApiKey } from '../../domain/api-key.ts';
import type { CallRecord } from '../../ports/store.ts';
import { findApiKeys } from './api-keys.ts';
import { findCalls } from './calls.ts';
import type { Database } from './database.ts';

/** The rows that a request needs before its work starts; null: not this row. */
export interface Lookup {
  readonly keyHash: string | null;
  readonly callId: string | null;
}

export interface FoundRows {
  readonly apiKey: ApiKey | null;
  readonly record: CallRecord | null;
}

/** Reads the rows of many requests in one round trip. Requests under one key share its row. */
export function lookUp(db: Database, lookups: readonly Lookup[]): Promise<FoundRows[]> {
  const hashes = distinct(lookups.map(({ keyHash }) => keyHash));
  const ids = distinct(lookups.map(({ callId }) => callId));
  return db.read(async (session) => {
    const [keys, records] = await Promise.all([
      hashes.length === 0 ? new Map<string, ApiKey>() : findApiKeys(session, hashes),
      ids.length === 0 ? new Map<string, CallRecord>() : findCalls(session, ids),
    ]);
    return lookups.map(({ keyHash, callId }) => ({
      apiKey: keys.get(keyHash ?? '') ?? null,
      record: records.get(callId ?? '') ?? null,
    }));
  });
}

const distinct = (values: readonly (string | null)[]) => [
  ...new Set(values.filter((value) => value !== null)),
];
