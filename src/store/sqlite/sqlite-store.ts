import { systemClock } from '../../platform/clock.ts';
import type { OpenStore, Store } from '../../ports/store.ts';
import type { Clock } from '../../ports/system.ts';
import { addAdoptionPrefix, listAdoptionPrefixes, removeAdoptionPrefix } from './adoption.ts';
import { createApiKey, findApiKey, listApiKeys, recordApiKeyUse, revokeApiKey } from './api-keys.ts';
import { listCallEvents } from './audit.ts';
import { changeCall } from './call-changes.ts';
import { listCalls } from './call-list.ts';
import { findCall } from './calls.ts';
import { countLive } from './counts.ts';
import {
  closeDatabase,
  type Database,
  DatabaseError,
  type OnMigrate,
  openDatabase,
  watchInode,
} from './database.ts';
import {
  claimDeletions,
  countOpenDeletions,
  findDeletionSubject,
  listDeletions,
  nextDeletionAt,
  retryDeletion,
  settleDeletion,
} from './deletions.ts';
import { checkWritable, getWebhookActivity } from './health.ts';
import { pruneIdempotencyKeys } from './idempotency.ts';
import { listLiveCalls, listLiveCallsByRoom, listReviews, listUnansweredPhones } from './live-calls.ts';
import { listLiveKitServers, recordLiveKitServer } from './livekit-servers.ts';
import { listOrganizations } from './organizations.ts';
import { countPrunable, pruneAudit, pruneCalls, pruneEvents, withShortCheckpoints } from './retention.ts';

type Sync<Method> = Method extends (...args: infer Args) => Promise<infer Result>
  ? (...args: Args) => Result
  : never;
type SyncStore = { readonly [N in keyof Store]: Sync<Store[N]> };

/** Returns the methods that never take SQLite's write lock. */
export function readsOn(db: Database, clock: Clock) {
  return {
    findApiKey: (hash) => findApiKey(db, hash),
    listApiKeys: () => listApiKeys(db),
    listOrganizations: () => listOrganizations(db),
    findCall: (id) => findCall(db, id),
    listCalls: (query) => listCalls(db, query),
    listLiveCalls: (input) => listLiveCalls(db, input),
    listLiveCallsByRoom: (roomNames) => listLiveCallsByRoom(db, roomNames),
    listUnansweredPhones: (input) => listUnansweredPhones(db, input),
    listReviews: (input) => listReviews(db, input, clock.now()),
    findDeletionSubject: (callId) => findDeletionSubject(db, callId),
    listCallEvents: (input) => listCallEvents(db, input),
    getWebhookActivity: () => getWebhookActivity(db),
    countPrunable: (retention) => countPrunable(db, retention),
    listAdoptionPrefixes: () => listAdoptionPrefixes(db),
    listDeletions: (input) => listDeletions(db, input),
    countOpenDeletions: () => countOpenDeletions(db),
    nextDeletionAt: () => nextDeletionAt(db),
    countLive: () => countLive(db),
    listLiveKitServers: () => listLiveKitServers(db),
  } satisfies Partial<SyncStore>;
}

/** Returns the methods that write, each in one transaction: a method that throws has changed nothing. */
export function writesOn(db: Database, clock: Clock) {
  return {
    createApiKey: (input) => createApiKey(db, input),
    revokeApiKey: (input) => revokeApiKey(db, input),
    recordApiKeyUse: (input) => recordApiKeyUse(db, input),
    changeCall: (command) => changeCall(db, command, clock.now()),
    pruneEvents: (input) => withShortCheckpoints(db, () => pruneEvents(db, input)),
    pruneCalls: (input) => withShortCheckpoints(db, () => pruneCalls(db, input)),
    pruneAudit: (input) => withShortCheckpoints(db, () => pruneAudit(db, input)),
    addAdoptionPrefix: (input) => addAdoptionPrefix(db, input),
    removeAdoptionPrefix: (input) => removeAdoptionPrefix(db, input),
    claimDeletions: (input) => claimDeletions(db, input, clock.now()),
    settleDeletion: (input) => settleDeletion(db, input, clock.now()),
    retryDeletion: (input) => retryDeletion(db, input, clock.now()),
    pruneIdempotencyKeys: (input) => withShortCheckpoints(db, () => pruneIdempotencyKeys(db, input)),
    checkWritable: () => checkWritable(db),
    recordLiveKitServer: (server) => recordLiveKitServer(db, server),
  } satisfies Omit<SyncStore, keyof ReturnType<typeof readsOn>>;
}

export type ReadMethod = keyof ReturnType<typeof readsOn>;
export type WriteMethod = keyof ReturnType<typeof writesOn>;

/** Returns asynchronous methods of the same names, each of which calls `run`. */
export function toAsync<Method extends keyof Store>(
  methods: { readonly [M in Method]: unknown },
  run: (method: Method, args: unknown[]) => Promise<unknown>,
): Pick<Store, Method> {
  const names = Object.keys(methods) as Method[];
  const entries = names.map((method) => [method, (...args: unknown[]) => run(method, args)]);
  return Object.fromEntries(entries) as Pick<Store, Method>;
}

/** Calls a method by its name. */
export function call<Port extends object>(port: Port, method: keyof Port, args: readonly unknown[]): unknown {
  return (port[method] as (...args: readonly unknown[]) => unknown)(...args);
}

/** Returns the store with a checkWritable that rejects when the database file was removed or replaced. */
export function withFileWatched<S extends Pick<Store, 'checkWritable'>>(store: S, file: string): S {
  const isSameFile = watchInode(file);
  return {
    ...store,
    checkWritable: async () => {
      if (!isSameFile()) throw new DatabaseError(`${file} was removed or replaced while hangup was running`);
      return store.checkWritable();
    },
  };
}

/** A store in the thread of its opener. */
export interface LocalStore extends OpenStore {
  close(): void;
}

/**
 * Opens the store of a command in this thread, which blocks while another process writes. Creates or migrates the
 * database.
 * @param onMigrating is called with the missing migrations, before they are applied
 * @throws DatabaseError when the file cannot be used
 */
export function openSqliteStore(
  file: string,
  { clock = systemClock, onMigrating = () => {} }: { clock?: Clock; onMigrating?: OnMigrate } = {},
): LocalStore {
  const db = openDatabase(file, onMigrating);
  const methods = { ...readsOn(db, clock), ...writesOn(db, clock) };
  const store = toAsync(methods, async (method, args) => call(methods, method, args));
  return { ...withFileWatched(store, file), close: () => closeDatabase(db) };
}
