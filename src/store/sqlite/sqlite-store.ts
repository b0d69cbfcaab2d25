import type { Timestamp } from '../../domain/time.ts';
import type { Store } from '../../ports/store.ts';
import { addAdoptionPrefix, listAdoptionPrefixes, removeAdoptionPrefix } from './adoption.ts';
import { createApiKey, findApiKey, listApiKeys, recordApiKeyUse, revokeApiKey } from './api-keys.ts';
import { listCallEvents } from './call-events.ts';
import { listCalls } from './call-list.ts';
import { cancelCall, createCall, findCall } from './calls.ts';
import { census, probe } from './census.ts';
import {
  closeDatabase,
  type Database,
  DatabaseError,
  type OnMigrating,
  openDatabase,
  watchPlace,
} from './database.ts';
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
import { listOrganizations } from './organizations.ts';
import { countPrunable, pruneAudit, pruneCalls, withShortCheckpoints } from './retention.ts';
import { findDeletionSubject, listReviews, listUnansweredPhones } from './reviews.ts';
import { applyEvent, applyObservationTo, overview, pruneEvents } from './room-events.ts';

/** The store on one SQLite file, which several processes may have open. */
export interface SqliteStore extends Store {
  /** URLs of the LiveKit servers that it was ever served with, the last one first; none of a database of the built-in emulator. */
  listLiveKitServers(): Promise<readonly string[]>;
  /** The names of all organizations. */
  listOrganizations(): Promise<readonly string[]>;
  rememberLiveKitServer(server: { readonly url: string; readonly now: Timestamp }): Promise<void>;
}

/** One in this thread. */
export interface LocalStore extends SqliteStore {
  close(): void;
}

type Sync<Method> = Method extends (...args: infer Args) => Promise<infer Result>
  ? (...args: Args) => Result
  : never;
type Methods = { readonly [N in keyof SqliteStore]: Sync<SqliteStore[N]> };

/** The methods that never take SQLite's write lock. */
export function readsOn(db: Database) {
  return {
    findApiKey: (hash) => findApiKey(db, hash),
    listApiKeys: () => listApiKeys(db),
    listOrganizations: () => listOrganizations(db),
    findCall: (id) => findCall(db, id),
    listCalls: (query) => listCalls(db, query),
    listLiveCalls: (input) => listLiveCalls(db, input),
    listLiveCallsByRoom: (roomNames) => findLiveCallsIn(db, roomNames),
    listUnansweredPhones: (input) => listUnansweredPhones(db, input),
    listReviews: (input) => listReviews(db, input),
    findDeletionSubject: (callId) => findDeletionSubject(db, callId),
    listCallEvents: (input) => listCallEvents(db, input),
    getWebhookActivity: () => overview(db),
    countPrunable: (retention) => countPrunable(db, retention),
    listAdoptionPrefixes: () => listAdoptionPrefixes(db),
    listDeletions: (input) => listDeletions(db, input),
    countOpenDeletions: () => countOpenDeletions(db),
    nextDeletionAt: () => nextDeletionAt(db),
    countLive: () => census(db),
    listLiveKitServers: () => listLiveKitServers(db),
  } satisfies Partial<Methods>;
}

/** The other methods, each one transaction: one that throws has changed nothing. */
export function writesOn(db: Database) {
  return {
    createApiKey: (input) => createApiKey(db, input),
    revokeApiKey: (input) => revokeApiKey(db, input),
    recordApiKeyUse: (input) => recordApiKeyUse(db, input),
    createCall: (input) => createCall(db, input),
    cancelCall: (input) => cancelCall(db, input),
    applyEvent: (input) => applyEvent(db, input),
    applyObservation: (input) => applyObservationTo(db, input),
    pruneEvents: (input) => withShortCheckpoints(db, () => pruneEvents(db, input)),
    pruneCalls: (input) => withShortCheckpoints(db, () => pruneCalls(db, input)),
    pruneAudit: (input) => withShortCheckpoints(db, () => pruneAudit(db, input)),
    addAdoptionPrefix: (input) => addAdoptionPrefix(db, input),
    removeAdoptionPrefix: (input) => removeAdoptionPrefix(db, input),
    claimDeletions: (input) => claimDeletions(db, input),
    settleDeletion: (input) => settleDeletion(db, input),
    retryDeletion: (input) => retryDeletion(db, input),
    pruneIdempotencyKeys: (input) => withShortCheckpoints(db, () => pruneIdempotencyKeys(db, input)),
    checkWritable: () => probe(db),
    rememberLiveKitServer: (server) => rememberLiveKitServer(db, server),
  } satisfies Omit<Methods, keyof ReturnType<typeof readsOn>>;
}

export type Writes = ReturnType<typeof writesOn>;
export type WriteMethod = keyof Writes;

/** The same methods, with `run` around each of them. */
export function wrapped<Port extends object>(
  port: Port,
  run: (method: keyof Port & string, args: unknown[]) => Promise<unknown>,
): Asynchronous<Port> {
  const methods = Object.keys(port) as (keyof Port & string)[];
  const entries = methods.map((method) => [method, (...args: unknown[]) => run(method, args)]);
  return Object.fromEntries(entries) as Asynchronous<Port>;
}

type Asynchronous<Port> = {
  readonly [M in keyof Port]: Port[M] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Result>
    : never;
};

/** Runs one method by its name. */
export function call<Port extends object>(port: Port, method: keyof Port, args: readonly unknown[]): unknown {
  return (port[method] as (...args: readonly unknown[]) => unknown)(...args);
}

/** Rejects when the file that was opened is not the one of this name any more. */
export function withPlaceWatched<S extends Pick<Store, 'checkWritable'>>(store: S, file: string): S {
  const isInPlace = watchPlace(file);
  return {
    ...store,
    checkWritable: async () => {
      if (!isInPlace()) throw new DatabaseError(`${file} was removed or replaced under a running hangup`);
      return store.checkWritable();
    },
  };
}

/**
 * The store in this thread, which waits while another process writes. For commands, and not for a server: it stands
 * still meanwhile.
 * @throws DatabaseError when the file cannot be used.
 */
export function openSqliteStore(file: string, onMigrating: OnMigrating = () => {}): LocalStore {
  const db = openDatabase(file, onMigrating);
  const methods = { ...readsOn(db), ...writesOn(db) };
  const store = wrapped(methods, async (method, args) => call(methods, method, args));
  return { ...withPlaceWatched(store, file), close: () => closeDatabase(db) };
}
