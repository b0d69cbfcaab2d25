import type { Store } from '../domain/ports.ts';
import type { Timestamp } from '../domain/time.ts';
import { addAdoptionPrefix, listAdoptionPrefixes, removeAdoptionPrefix } from './adoption.ts';
import { createApiKey, findApiKey, listApiKeys, recordApiKeyUse, revokeApiKey } from './api-keys.ts';
import { listCallEvents } from './call-events.ts';
import { listCalls } from './call-list.ts';
import { cancelCall, createCall, findCall } from './calls.ts';
import { census, probe } from './census.ts';
import { closeDatabase, DatabaseError, type OnMigrating, openDatabase, watchPlace } from './database.ts';
import {
  claimDeletions,
  countOpenDeletions,
  listDeletions,
  nextDeletionAt,
  retryDeletion,
  settleDeletion,
} from './deletions.ts';
import { pruneIdempotencyKeys } from './idempotency.ts';
import { findLiveCallsIn, listLiveCalls } from './live-calls.ts';
import { listLiveKitServers, rememberLiveKitServer } from './livekit-servers.ts';
import { countPrunable, pruneAudit, pruneCalls, withShortCheckpoints } from './retention.ts';
import {
  applyEvent,
  applyObservationTo,
  findDeletionSubject,
  listReviews,
  listUnansweredPhones,
  overview,
  pruneEvents,
} from './room-events.ts';

/** The store on one SQLite file, which several processes may have open. */
export interface SqliteStore extends Store {
  /** URLs of the LiveKit servers that it was ever served with, the last one first; none of a database of the built-in emulator. */
  listLiveKitServers(): Promise<readonly string[]>;
  rememberLiveKitServer(server: { readonly url: string; readonly now: Timestamp }): Promise<void>;
  close(): void;
}

/** @throws DatabaseError when the file cannot be used. */
export function openSqliteStore(file: string, onMigrating: OnMigrating = () => {}): SqliteStore {
  const db = openDatabase(file, onMigrating);
  const isInPlace = watchPlace(file);
  return {
    createApiKey: async (input) => createApiKey(db, input),
    findApiKey: async (hash) => findApiKey(db, hash),
    listApiKeys: async () => listApiKeys(db),
    revokeApiKey: async (input) => revokeApiKey(db, input),
    recordApiKeyUse: async (input) => recordApiKeyUse(db, input),
    createCall: async (input) => createCall(db, input),
    findCall: async (id) => findCall(db, id),
    listCalls: async (query) => listCalls(db, query),
    cancelCall: async (input) => cancelCall(db, input),
    applyEvent: async (input) => applyEvent(db, input),
    applyObservation: async (input) => applyObservationTo(db, input),
    listLiveCalls: async (input) => listLiveCalls(db, input),
    findLiveCallsIn: async (roomNames) => findLiveCallsIn(db, roomNames),
    listUnansweredPhones: async (input) => listUnansweredPhones(db, input),
    listReviews: async (input) => listReviews(db, input),
    findDeletionSubject: async (callId) => findDeletionSubject(db, callId),
    listCallEvents: async (input) => listCallEvents(db, input),
    overview: async () => overview(db),
    pruneEvents: async (input) => withShortCheckpoints(db, () => pruneEvents(db, input)),
    pruneCalls: async (input) => withShortCheckpoints(db, () => pruneCalls(db, input)),
    pruneAudit: async (input) => withShortCheckpoints(db, () => pruneAudit(db, input)),
    countPrunable: async (retention) => countPrunable(db, retention),
    addAdoptionPrefix: async (input) => addAdoptionPrefix(db, input),
    listAdoptionPrefixes: async () => listAdoptionPrefixes(db),
    removeAdoptionPrefix: async (input) => removeAdoptionPrefix(db, input),
    claimDeletions: async (input) => claimDeletions(db, input),
    settleDeletion: async (input) => settleDeletion(db, input),
    listDeletions: async (input) => listDeletions(db, input),
    countOpenDeletions: async () => countOpenDeletions(db),
    retryDeletion: async (input) => retryDeletion(db, input),
    nextDeletionAt: async () => nextDeletionAt(db),
    pruneIdempotencyKeys: async (input) => withShortCheckpoints(db, () => pruneIdempotencyKeys(db, input)),
    census: async () => census(db),
    probe: async () => {
      if (!isInPlace()) throw new DatabaseError(`${file} was removed or replaced under a running hangup`);
      return probe(db);
    },
    listLiveKitServers: async () => listLiveKitServers(db),
    rememberLiveKitServer: async (server) => rememberLiveKitServer(db, server),
    close: () => closeDatabase(db),
  };
}
