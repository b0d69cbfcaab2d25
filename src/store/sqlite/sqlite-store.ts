import type { CallCommand, CommandKind } from '../../domain/call-command.ts';
import type { Timestamp } from '../../domain/time.ts';
import { systemClock } from '../../platform/clock.ts';
import type { ChangedCall, OpenStore, Store } from '../../ports/store.ts';
import type { Clock } from '../../ports/system.ts';
import { countOrganization, readActivity } from './activity.ts';
import { addAdoptionPrefix, listAdoptionPrefixes, removeAdoptionPrefix } from './adoption.ts';
import {
  createApiKey,
  findApiKey,
  findApiKeyById,
  listApiKeys,
  listApiKeysOf,
  recordApiKeyUse,
  revokeApiKey,
} from './api-keys.ts';
import { listCallEvents } from './audit.ts';
import { changeCall, findUnchangedCall } from './call-changes.ts';
import { type CallLists, createCallLists } from './call-list.ts';
import { searchCalls } from './call-search.ts';
import { findCall, findKeyAndCall } from './calls.ts';
import {
  advanceCancellation,
  createCancellation,
  findCancellation,
  liftHold,
  listCancellations,
  listRunningCancellations,
} from './cancellations.ts';
import { countLive } from './counts.ts';
import {
  closeDatabase,
  type Database,
  type OnMigrate,
  openDatabase,
  replacedError,
  watchInode,
} from './database.ts';
import {
  claimDeletions,
  completeDeletions,
  countOpenDeletions,
  findDeletionSubject,
  listDeletions,
  nextDeletionAt,
  retryDeletion,
  settleDeletion,
} from './deletions.ts';
import { getEventRange, listEvents } from './events.ts';
import { heartbeat, leaveFleet } from './fleet.ts';
import { checkWritable, getWebhookActivity } from './health.ts';
import { pruneIdempotencyKeys } from './idempotency.ts';
import {
  findLiveCalls,
  findRosterVersion,
  listKnownRooms,
  listLiveRooms,
  listReviews,
  listUnansweredPhones,
} from './live-calls.ts';
import { listLiveKitServers, recordLiveKitServer } from './livekit-servers.ts';
import { listOrganizations } from './organizations.ts';
import { findRooms, listAgents, listRoomDeletions, retryRoomDeletion } from './overview.ts';
import { countPrunable, pruneAudit, pruneCalls, pruneEvents, withShortCheckpoints } from './retention.ts';
import { writeTransaction } from './transaction.ts';

type Sync<Method> = Method extends (...args: infer Args) => Promise<infer Result>
  ? (...args: Args) => Result
  : never;
type SyncStore = { readonly [N in keyof Store]: Sync<Store[N]> };

/** Returns the methods that never take SQLite's write lock. */
export function readsOn(db: Database, lists: CallLists, clock: Clock) {
  return {
    findApiKey: (hash) => findApiKey(db, hash),
    findApiKeyById: (id) => findApiKeyById(db, id),
    listApiKeys: () => listApiKeys(db),
    listApiKeysOf: (input) => listApiKeysOf(db, input),
    listOrganizations: () => listOrganizations(db),
    findCall: (id) => findCall(db, id),
    findKeyAndCall: (input) => findKeyAndCall(db, input),
    listCalls: (query) => lists.list(query),
    findCancellation: (id) => findCancellation(db, id),
    listCancellations: (input) => listCancellations(db, input),
    listRunningCancellations: () => listRunningCancellations(db),
    listLiveRooms: (input) => listLiveRooms(db, input),
    findLiveCalls: (roomNames) => findLiveCalls(db, roomNames),
    findRosterVersion: (callId) => findRosterVersion(db, callId),
    listKnownRooms: (roomNames) => listKnownRooms(db, roomNames),
    listUnansweredPhones: (input) => listUnansweredPhones(db, input),
    listReviews: (input) => listReviews(db, input, clock.now()),
    findDeletionSubject: (callId) => findDeletionSubject(db, callId),
    listCallEvents: (input) => listCallEvents(db, input),
    listEvents: (query) => listEvents(db, query),
    getEventRange: () => getEventRange(db),
    getWebhookActivity: () => getWebhookActivity(db),
    countPrunable: (retention) => countPrunable(db, retention),
    listAdoptionPrefixes: () => listAdoptionPrefixes(db),
    countOrganization: (organizationId) => countOrganization(db, organizationId),
    readActivity: (after) => readActivity(db, after),
    searchCalls: (search) => searchCalls(db, search),
    findRooms: (callIds) => findRooms(db, callIds),
    listAgents: (input) => listAgents(db, input),
    listRoomDeletions: (query) => listRoomDeletions(db, query),
    listDeletions: (input) => listDeletions(db, input),
    countOpenDeletions: () => countOpenDeletions(db),
    nextDeletionAt: () => nextDeletionAt(db),
    countLive: () => countLive(db, clock.now()),
    listLiveKitServers: () => listLiveKitServers(db),
  } satisfies Partial<SyncStore>;
}

/** Returns the methods that write. Those that share a commit run in a transaction of the caller. */
export function writesOn(db: Database, clock: Clock) {
  return {
    createApiKey: (input) => createApiKey(db, input),
    revokeApiKey: (input) => revokeApiKey(db, input),
    recordApiKeyUse: (input) => recordApiKeyUse(db, input),
    changeCall: (command) => changeCall(db, command, clock.now()),
    createCancellation: (input) => createCancellation(db, input, clock.now()),
    advanceCancellation: (input) => advanceCancellation(db, input, clock.now()),
    liftHold: (input) => liftHold(db, input, clock.now()),
    pruneEvents: (input) => withShortCheckpoints(db, () => pruneEvents(db, input)),
    pruneCalls: (input) => withShortCheckpoints(db, () => pruneCalls(db, input)),
    pruneAudit: (input) => withShortCheckpoints(db, () => pruneAudit(db, input)),
    addAdoptionPrefix: (input) => addAdoptionPrefix(db, input),
    removeAdoptionPrefix: (input) => removeAdoptionPrefix(db, input),
    claimDeletions: (input) => claimDeletions(db, input, clock.now()),
    settleDeletion: (input) => settleDeletion(db, input, clock.now()),
    completeDeletions: (leases) => completeDeletions(db, leases, clock.now()),
    retryDeletion: (input) => retryDeletion(db, input, clock.now()),
    retryRoomDeletion: (input) => retryRoomDeletion(db, input, clock.now()),
    pruneIdempotencyKeys: (input) => withShortCheckpoints(db, () => pruneIdempotencyKeys(db, input)),
    checkWritable: () => checkWritable(db),
    recordLiveKitServer: (server) => recordLiveKitServer(db, server),
    heartbeat: (command) => heartbeat(db, command, clock.now()),
    leaveFleet: (input) => leaveFleet(db, input),
  } satisfies Omit<SyncStore, keyof ReturnType<typeof readsOn>>;
}

/** Writes that cannot share a commit, because each sets the connection's checkpoints until after its own commit. */
const OWN_COMMITS: ReadonlySet<string> = new Set<WriteMethod>([
  'pruneEvents',
  'pruneCalls',
  'pruneAudit',
  'pruneIdempotencyKeys',
]);
export const sharesCommit = (method: WriteMethod) => !OWN_COMMITS.has(method);

/**
 * Returns the result of a write that changes nothing, by a read that never waits for a lock.
 * @returns null when the write has to run
 */
export function findUnchanged(
  db: Database,
  { method, args, now }: { method: WriteMethod; args: readonly unknown[]; now: Timestamp },
): ChangedCall<CommandKind> | null {
  return method === 'changeCall' ? findUnchangedCall(db, args[0] as CallCommand, now) : null;
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
      if (!isSameFile()) throw replacedError(file);
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
  const lists = createCallLists(db);
  const reads = readsOn(db, lists, clock);
  const writes = writesOn(db, clock);
  const store = {
    ...toAsync(reads, async (method, args) => call(reads, method, args)),
    ...toAsync(writes, async (method, args) => {
      const run = () => call(writes, method, args);
      if (!sharesCommit(method)) return run();
      return findUnchanged(db, { method, args, now: clock.now() }) ?? writeTransaction(db, run);
    }),
  };
  const close = () => {
    lists.close();
    closeDatabase(db);
  };
  return { ...withFileWatched(store, file), close };
}
