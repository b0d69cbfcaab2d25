import type { CallCommand, CommandKind } from '../../domain/call-command.ts';
import { StoreBusyError } from '../../domain/errors.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import { systemClock, systemTimers } from '../../platform/clock.ts';
import type { ServerStore } from '../../ports/server-store.ts';
import type { ChangedCall, DeletionLease, Store } from '../../ports/store.ts';
import type { Timers } from '../../ports/system.ts';
import { countOrganization, readActivity } from './activity.ts';
import { addAdoptionPrefix, listAdoptionPrefixes, removeAdoptionPrefix } from './adoption.ts';
import {
  createApiKey,
  findApiKeyById,
  listApiKeys,
  listApiKeysOf,
  recordApiKeyUse,
  revokeApiKey,
} from './api-keys.ts';
import { listCallEvents } from './audit.ts';
import { changeCalls, findUnchangedCalls, isUsuallyUnchanged, type TimedCommand } from './call-changes.ts';
import { listCalls } from './call-list.ts';
import { searchCalls } from './call-search.ts';
import {
  advanceCancellation,
  createCancellation,
  findCancellation,
  liftHold,
  listCancellations,
  listRunningCancellations,
} from './cancellations.ts';
import { timeOf } from './clock.ts';
import { countLive } from './counts.ts';
import { type Database, type DatabaseOptions, openDatabase } from './database.ts';
import {
  claimDeletions,
  countOpenDeletions,
  findDeletionSubject,
  listDeletions,
  nextDeletionAt,
  retryDeletion,
  type Settlement,
  settleDeletions,
} from './deletions.ts';
import { createEventSignals } from './event-signals.ts';
import { getEventRange, listEvents } from './events.ts';
import { heartbeat, leaveFleet } from './fleet.ts';
import { checkWritable, getWebhookActivity } from './health.ts';
import { pruneIdempotencyKeys } from './idempotency.ts';
import { createLane, type Lane, runTogether } from './lane.ts';
import {
  findLiveCalls,
  findRosterVersion,
  listKnownRooms,
  listLiveRooms,
  listReviews,
  listUnansweredPhones,
} from './live-calls.ts';
import { listLiveKitServers, recordLiveKitServer } from './livekit-servers.ts';
import { type FoundRows, type Lookup, lookUp } from './lookups.ts';
import { listOrganizations } from './organizations.ts';
import { findRooms, listAgents, listRoomDeletions, retryRoomDeletion } from './overview.ts';
import { createPostgresRateLimiters } from './rate-limiter.ts';
import { countPrunable, pruneAudit, pruneCalls, pruneEvents } from './retention.ts';

/** Clients of a cancel time out after 5 s, which includes LiveKit's response. */
const WRITE_TIMEOUT_MS = 3_000;
/** After LiveKit's response to a cancel. The reconciler repeats an attempt that was not settled. */
const SETTLE_TIMEOUT_MS = 500;
/** Load balancers wait a second or two for /readyz. */
const CHECK_TIMEOUT_MS = 1_000;
/** In a longer queue, writes would time out. */
const MAX_WAITING_WRITES = 2_000;
/** More writes in a commit save little more of its cost, but delay the first responses and other nodes. */
const MAX_BATCH = 64;

/**
 * Opens the store on a Postgres database, which several processes share. Migrates the database.
 * @param url `postgres://…`
 * @param clock in tests, instead of the clock of the database
 * @param timers of the rate limiters
 * @param onNotListening is called once when this process gets no notifications of events, until it gets them again
 * @throws DatabaseError when the database cannot be used
 */
export async function openPostgresStore({
  onNotListening = () => {},
  timers = systemTimers,
  ...options
}: DatabaseOptions & {
  onNotListening?: (error: unknown) => void;
  timers?: Timers;
}): Promise<ServerStore> {
  const db = await openDatabase(options);
  const signals = createEventSignals(db, { onNotListening });
  const commands = createCommandLane(db);
  const unchanged = createUnchangedLane(db);
  const settlements = createSettlementLane(db);
  const rateLimiters = createPostgresRateLimiters(db, { clock: db.clock ?? systemClock, timers });

  async function changeCall<Kind extends CommandKind>(
    command: CallCommand<Kind>,
  ): Promise<ChangedCall<Kind>> {
    const expiresAtMs = performance.now() + WRITE_TIMEOUT_MS;
    const pushed = command as CallCommand;
    const found = isUsuallyUnchanged(pushed) ? await unchanged.push(pushed) : null;
    // The result belongs to the kind of the command.
    return (found ?? (await commands.push({ command: pushed, expiresAtMs }))) as ChangedCall<Kind>;
  }

  async function completeDeletions(leases: readonly DeletionLease[]): Promise<boolean[]> {
    const end = { settlement: { state: 'completed' }, wasRescued: false, keptBecause: null } as const;
    const settled = await Promise.all(leases.map((lease) => settlements.push({ ...lease, ...end })));
    return settled.map((deletion) => deletion !== null);
  }

  const writes = {
    changeCall: (command) => inTime(changeCall(command)),
    createCancellation: (input) => inTime(createCancellation(db, input)),
    advanceCancellation: (input) => inTime(advanceCancellation(db, input)),
    liftHold: (input) => inTime(liftHold(db, input)),
    claimDeletions: (input) => inTime(claimDeletions(db, input)),
    settleDeletion: (input) => inTime(settlements.push(input), SETTLE_TIMEOUT_MS),
    completeDeletions: (leases) => inTime(completeDeletions(leases)),
    retryDeletion: (input) => inTime(retryDeletion(db, input)),
    retryRoomDeletion: (input) => inTime(retryRoomDeletion(db, input)),
    createApiKey: (input) => inTime(createApiKey(db, input)),
    revokeApiKey: (input) => inTime(revokeApiKey(db, input)),
    recordApiKeyUse: onceAtATime((input) => inTime(recordApiKeyUse(db, input))),
    addAdoptionPrefix: (input) => inTime(addAdoptionPrefix(db, input)),
    removeAdoptionPrefix: (input) => inTime(removeAdoptionPrefix(db, input)),
    pruneEvents: (input) => pruneEvents(db, input),
    pruneCalls: (input) => pruneCalls(db, input),
    pruneAudit: (input) => pruneAudit(db, input),
    pruneIdempotencyKeys: (input) => pruneIdempotencyKeys(db, input),
    checkWritable: () => inTime(checkWritable(db), CHECK_TIMEOUT_MS),
    recordLiveKitServer: (server) => inTime(recordLiveKitServer(db, server)),
    heartbeat: (command) =>
      inTime(heartbeat(db, command, { expiresAtMs: performance.now() + WRITE_TIMEOUT_MS })),
    leaveFleet: (input) => inTime(leaveFleet(db, input)),
  } satisfies Partial<Store>;

  const lookups = createLookupLane(db);

  return {
    ...readsOn(db),
    findApiKey: async (keyHash) => (await lookups.push({ keyHash, callId: null })).apiKey,
    findCall: async (callId) => (await lookups.push({ keyHash: null, callId })).record,
    findKeyAndCall: (lookup) => lookups.push(lookup),
    ...writes,
    countConnections: db.countConnections,
    createRateLimiter: rateLimiters.create,
    watchEvents: signals.watch,
    async close() {
      rateLimiters.close();
      signals.close();
      await Promise.all([lookups.drained(), unchanged.drained(), settlements.drained()]);
      await commands.drained();
      await db.close();
    },
  };
}

function readsOn(db: Database) {
  return {
    findApiKeyById: (id) => findApiKeyById(db, id),
    listApiKeys: () => listApiKeys(db),
    listApiKeysOf: (input) => listApiKeysOf(db, input),
    listOrganizations: () => listOrganizations(db),
    listCalls: (query) => listCalls(db, query),
    findCancellation: (id) => findCancellation(db, id),
    listCancellations: (input) => listCancellations(db, input),
    listRunningCancellations: () => listRunningCancellations(db),
    listLiveRooms: (input) => listLiveRooms(db, input),
    findLiveCalls: (roomNames) => findLiveCalls(db, roomNames),
    findRosterVersion: (callId) => findRosterVersion(db, callId),
    listKnownRooms: (roomNames) => listKnownRooms(db, roomNames),
    listUnansweredPhones: (input) => listUnansweredPhones(db, input),
    listReviews: (input) => listReviews(db, input, timeOf(db.clock)),
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
    countLive: () => countLive(db, timeOf(db.clock)),
    listLiveKitServers: () => listLiveKitServers(db),
  } satisfies Partial<Store>;
}

const laneOptions = {
  nowMs: () => performance.now(),
  maxWaiting: MAX_WAITING_WRITES,
  timeoutMs: WRITE_TIMEOUT_MS,
};

function createCommandLane(db: Database): Lane<TimedCommand, ChangedCall<CommandKind>> {
  return createLane({
    ...laneOptions,
    maxBatch: MAX_BATCH,
    run: (commands) => runTogether(commands, (some) => changeCalls(db, some)),
  });
}

/** Commands that usually change nothing do not wait for the commits of the others. */
function createUnchangedLane(db: Database): Lane<CallCommand, ChangedCall<CommandKind> | null> {
  return createLane({
    ...laneOptions,
    maxBatch: MAX_BATCH,
    run: async (commands) => (await findUnchangedCalls(db, commands)).map((result) => ({ result })),
  });
}

function createSettlementLane(db: Database): Lane<Settlement, RoomDeletion | null> {
  return createLane({
    ...laneOptions,
    maxBatch: MAX_BATCH,
    run: (settlements) =>
      runTogether(settlements, async (some) => {
        const settled = await settleDeletions(db, some);
        return settled.map((result) => ({ result }));
      }),
  });
}

/** Two batches at once, so that a slow read does not delay all others. */
function createLookupLane(db: Database): Lane<Lookup, FoundRows> {
  return createLane({
    ...laneOptions,
    maxBatch: MAX_BATCH,
    maxRunning: 2,
    run: async (lookups) => (await lookUp(db, lookups)).map((result) => ({ result })),
  });
}

/** Rejects after the time of a write. The write may still complete. */
async function inTime<T>(write: Promise<T>, timeoutMs = WRITE_TIMEOUT_MS): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new StoreBusyError()), timeoutMs);
  try {
    return await Promise.race([write, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** At most one write in flight for each key: a second write would record nearly the same time. */
function onceAtATime(record: Store['recordApiKeyUse']): Store['recordApiKeyUse'] {
  const inFlight = new Map<string, Promise<void>>();
  return (input) => {
    const recorded = inFlight.get(input.id) ?? record(input).finally(() => inFlight.delete(input.id));
    inFlight.set(input.id, recorded);
    return recorded;
  };
}
