import { type ApiKey, SCOPES } from '../../src/domain/api-key.ts';
import { isLive } from '../../src/domain/call-status.ts';
import type { TwirpOutcome, TwirpRequest } from '../../src/livekit/transport/twirp.ts';
import { createApiKey } from '../../src/operations/api-keys/create.ts';
import type { Random } from '../../src/ports/system.ts';
import type { Party } from './attendance.ts';
import { CancellationMonitor } from './cancellation-monitor.ts';
import {
  type DatabaseClock,
  openSimulatedDatabase,
  type SimulatedDatabase,
  type StoreKind,
} from './database.ts';
import { DatabaseInspector } from './database-inspector.ts';
import { EventLog, InvariantViolation } from './event-log.ts';
import { injectFaults } from './faults.ts';
import { CALL_START_TIMEOUT_MS, type CommittedEnd, SimulatedHangup } from './hangup.ts';
import { SimulatedLiveKit } from './livekit.ts';
import { operateStops } from './operators.ts';
import { Prng } from './prng.ts';
import { EventReaders } from './readers.ts';
import {
  assertDeletionsAreComplete,
  assertEndedCallsHaveNoRoom,
  assertEndlessCallsGoOn,
  assertLiveCallsHaveRooms,
  assertNodesOfLiveCallsAnswer,
  assertRoomsAreCalls,
} from './room-invariants.ts';
import { PREFIX, SECOND_PREFIX } from './shared-rooms.ts';
import { VirtualClock } from './virtual-clock.ts';
import { runScenario } from './workload.ts';
import type { World } from './world.ts';

export interface Simulation {
  readonly seed: number;
  readonly calls: number;
  /** SQLite by default. */
  readonly store?: StoreKind;
  /** False: hangup receives no webhooks. */
  readonly receivesWebhooks?: boolean;
  /** False: hangup never reconciles LiveKit's rooms with the calls. */
  readonly reconciles?: boolean;
  /** False: every DeleteRoom succeeds without an effect. */
  readonly deletesRooms?: boolean;
  /** False: every participant list is empty. */
  readonly listsParticipants?: boolean;
}

export interface Outcome {
  /** The violated invariant with the history of the room; null: all invariants hold. */
  readonly violation: string | null;
  readonly simulatedMs: number;
  readonly events: number;
  readonly counts: ReadonlyMap<string, number>;
  /** Two runs with the same seed return the same text. */
  readonly auditLog: string;
}

const BEGIN = Date.UTC(2026, 0, 1);
/** The minimum period in which the calls start. A shorter period leaves no time for faults. */
const SHORTEST_MS = 600_000;
const SMALLEST_GAP_MS = 200;
/**
 * Time after the last fault until every room of an ended call must be gone: the longest backoff of a deletion (60 s), one
 * reconciliation (15 s), three attempts at the room of a dead node (3 s each, with backoff), and the time until LiveKit
 * closes an empty room.
 */
const ROOMS_GONE_AFTER_MS = 180_000;
/** Time after the last fault until every live call must have a room. The last call is scheduled 5 minutes ahead. */
const ALL_SETTLED_AFTER_MS = CALL_START_TIMEOUT_MS + 360_000;
const STOPPED_AFTER_MS = 60_000;
/** Longer than one deletion without faults, and shorter than the interval of the checks. */
const DELETION_TIME_MS = 10_000;
/** The longest pause of a reader, and some pages. */
const READ_AFTER_MS = 30_000;
/** Maximum age of LiveKit's participant list when hangup acts on it. */
const OLDEST_LIST_MS = 1_000;

/** An empty message, in the encoding of the request. */
async function* emptyAnswer(body: object) {
  if (!(body instanceof Uint8Array)) yield Buffer.from('{}');
}

/** Runs one simulation and checks the invariants. */
export async function simulate(simulation: Simulation): Promise<Outcome> {
  const virtualClock = new VirtualClock(BEGIN);
  const simulated = await openSimulatedDatabase(simulation.store ?? 'sqlite', virtualClock);
  try {
    const world = await createWorld(simulation, virtualClock, simulated);
    const { eventLog, database, hangups } = world;
    const violation = await violationIn(world, simulation);
    for (const hangup of hangups) hangup.crash();
    return {
      violation,
      simulatedMs: virtualClock.now - BEGIN,
      events: virtualClock.happened,
      counts: eventLog.counts,
      auditLog: database.auditLog(),
    };
  } finally {
    await simulated.close();
  }
}

async function violationIn(world: SimulatedWorld, simulation: Simulation): Promise<string | null> {
  try {
    await run(world, simulation);
    return null;
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error;
    return describe(world, error, simulation);
  }
}

async function run(world: SimulatedWorld, { calls }: Simulation): Promise<void> {
  const { virtualClock, eventLog, prng, hangups, database } = world;
  for (const hangup of hangups) hangup.start();
  const gapMs = Math.max(SMALLEST_GAP_MS, SHORTEST_MS / calls);
  let telling = calls;
  const failed = (error: unknown) => world.fail(error instanceof Error ? error : new Error(String(error)));
  const stories = prng.fork();
  const begin = async () => {
    for (let number = 0; number < calls; number += 1) {
      await virtualClock.sleep(stories.around(gapMs));
      runScenario(world, `c${number}`).then(() => {
        telling -= 1;
      }, failed);
    }
  };
  begin().catch(failed);
  const isTold = () => telling === 0;
  const readers = new EventReaders(world);
  let isRead = false;
  readers.read(() => isRead).catch(failed);
  Promise.all([injectFaults(world, isTold), operateStops(world, isTold)]).then(() => {
    world.isRepaired = true;
  }, failed);
  const until = async (isEnough: () => boolean) => {
    await virtualClock.run(() => world.failure !== null || isEnough());
    if (world.failure !== null) throw world.failure;
  };
  await until(() => world.isRepaired);
  const repairedAt = virtualClock.now;
  eventLog.recordForAllRooms('all faults are over');
  await until(() => virtualClock.now >= repairedAt + ROOMS_GONE_AFTER_MS);
  assertEndedCallsHaveNoRoom(world);
  world.cancellations.assertCompleted();
  await until(() => virtualClock.now >= repairedAt + ALL_SETTLED_AFTER_MS);
  assertEndedCallsHaveNoRoom(world);
  assertLiveCallsHaveRooms(world);
  assertNodesOfLiveCallsAnswer(world);
  assertEndlessCallsGoOn(world);
  assertRoomsAreCalls(world);
  // Every 15 s, hangup checks again whether it may delete the room of an ended call that others use.
  const completeBy = virtualClock.now + DELETION_TIME_MS;
  await until(() => database.openDeletions().length === 0 || virtualClock.now >= completeBy);
  assertDeletionsAreComplete(world);
  database.assertCancelsHaveDeletions();
  database.assertStatusesMovedForward();
  world.cancellations.assertConsistent();
  const position = database.lastEventId();
  const readBy = virtualClock.now + READ_AFTER_MS;
  await until(() => readers.haveReached(position) || virtualClock.now >= readBy);
  isRead = true;
  readers.assertComplete(position);
  let isStopped = false;
  Promise.all(hangups.map((hangup) => hangup.stop())).then(() => {
    isStopped = true;
  }, failed);
  const stopBy = virtualClock.now + STOPPED_AFTER_MS;
  const wait = async () => {
    while (!isStopped) await virtualClock.sleep(100);
  };
  void wait();
  await until(() => isStopped || virtualClock.now >= stopBy);
  if (!isStopped) throw new InvariantViolation('hangup did not stop');
  for (const { status } of database.all()) eventLog.count(`call: ${status}`);
}

interface SimulatedWorld extends World {
  readonly endedAt: Map<string, number>;
  readonly cancellations: CancellationMonitor;
  failure: Error | null;
  isRepaired: boolean;
}

async function createWorld(
  {
    seed,
    receivesWebhooks = true,
    reconciles = true,
    deletesRooms = true,
    listsParticipants = true,
  }: Simulation,
  virtualClock: VirtualClock,
  simulated: SimulatedDatabase,
): Promise<SimulatedWorld> {
  const prng = new Prng(seed);
  const eventLog = new EventLog(virtualClock);
  const random = createRandom(prng.fork());
  const clock = { now: () => virtualClock.now };
  const store = simulated.openStore(clock);
  const apiKeys: ApiKey[] = [];
  for (const [organizationName, prefix] of Object.entries({ acme: PREFIX, globex: SECOND_PREFIX })) {
    const { apiKey } = await createApiKey(
      { store, clock, random },
      { organizationName, name: 'simulation', scopes: SCOPES, expiresAt: null },
    );
    apiKeys.push(apiKey);
    const organizationIdIfNew = random.id('org');
    await store.addAdoptionPrefix({ prefix, organizationName, organizationIdIfNew, now: virtualClock.now });
  }
  store.close();

  const livekit = new SimulatedLiveKit(virtualClock, prng.fork(), eventLog, async (event) =>
    receivesWebhooks ? prng.of(hangups).receive(event) : true,
  );
  const database = new DatabaseInspector(simulated);
  const transport = async <T>(request: TwirpRequest<T>): Promise<TwirpOutcome<T>> => {
    const { method, body } = request;
    const named = Reflect.get(body, 'room') ?? Reflect.get(body, 'name');
    const changes = method === 'DeleteRoom' || method === 'CreateRoom';
    if (changes && typeof named === 'string') assertMayEnd(world, method, named);
    if ((method === 'DeleteRoom' && !deletesRooms) || (method === 'ListParticipants' && !listsParticipants))
      return { kind: 'answered', value: await request.read(emptyAnswer(request.body)) };
    const outcome = await livekit.send(request);
    eventLog.count(`${method}: ${outcome.kind}`);
    if (changes && typeof named === 'string') eventLog.record(named, `${method}: ${outcome.kind}`);
    return outcome;
  };
  const hangups = Array.from(
    { length: prng.happens(0.3) ? 2 : 1 },
    () =>
      new SimulatedHangup({
        virtualClock,
        prng: prng.fork(),
        eventLog,
        random,
        database: simulated,
        transport,
        reconciles,
        observe: (store, clock) => cancellations.observe(store, clock),
        fail: (violation) => world.fail(violation),
        onEnd: (end) => assertNobodyTalked(world, end),
      }),
  );
  const cancellations = new CancellationMonitor({
    database,
    eventLog,
    fail: (violation) => world.fail(violation),
    onCancelled: (callId) => {
      if (!world.endedAt.has(callId)) world.endedAt.set(callId, virtualClock.now);
      for (const person of world.endless.get(callId)?.people ?? []) person.stopReturning();
    },
  });
  const world: SimulatedWorld = {
    virtualClock,
    prng,
    eventLog,
    livekit,
    hangups,
    database,
    apiKeys,
    cancellations,
    people: new Set(),
    endless: new Map(),
    endedAt: new Map(),
    failure: null,
    isRepaired: false,
    isCalm: () => world.isRepaired,
    setClockOffset(offsetMs) {
      if (simulated.clock === null) for (const hangup of hangups) hangup.clockOffsetMs = offsetMs;
      else setOffsets(simulated.clock, hangups, offsetMs, prng);
    },
    fail(failure) {
      world.failure ??= failure;
    },
  };
  return world;
}

/** Sets the clock of the database, or those of the processes, each on its own machine. */
function setOffsets(
  database: DatabaseClock,
  hangups: readonly SimulatedHangup[],
  offsetMs: number,
  prng: Prng,
): void {
  const isOfDatabase = prng.happens(0.5);
  database.offsetMs = isOfDatabase ? offsetMs : 0;
  for (const hangup of hangups) hangup.clockOffsetMs = isOfDatabase || prng.happens(0.5) ? 0 : offsetMs;
}

/** Later ids sort later, like hangup's own. */
function createRandom(prng: Prng): Random {
  let made = 0;
  return {
    fraction: () => prng.fraction(),
    bytes: (count) => prng.bytes(count),
    id: (prefix) => {
      made += 1;
      return `${prefix}_${made.toString(16).padStart(32, '0')}`;
    },
  };
}

/** Invariant 7, checked at each change that hangup requests: the room must belong to an ended call. */
function assertMayEnd(world: SimulatedWorld, method: string, roomName: string): void {
  const calls = world.database.callsIn(roomName);
  const live = calls.find(({ status }) => isLive(status));
  const last = calls.at(-1);
  const forbid = (whose: string) =>
    world.fail(
      new InvariantViolation(`hangup requests ${method} of ${roomName}, the room of ${whose}`, roomName),
    );
  if (live !== undefined) forbid(`the live call ${live.id}`);
  else if (last === undefined) forbid('no call');
  else if (method === 'DeleteRoom') {
    const parties = world.livekit.attendance.inRoom(roomName, OLDEST_LIST_MS);
    if (parties.length >= 2 && last.status !== 'cancelled') forbid(named(parties));
    const endedAt = world.endedAt.get(last.id) ?? 0;
    const newCallers = parties.filter(({ isInbound, since }) => isInbound && since > endedAt);
    if (newCallers.length > 0) forbid(`${named(newCallers)}, who called after the last call`);
  }
}

const named = (parties: readonly Party[]) =>
  parties.map(({ identity, sid }) => `${identity} (${sid})`).join(' and ');

/** Checked when hangup ends a call that nobody cancelled: its session must not have two parties. */
function assertNobodyTalked(world: SimulatedWorld, { callId, isCancelled, reason }: CommittedEnd): void {
  world.endedAt.set(callId, world.virtualClock.now);
  const call = world.database.find(callId);
  if (isCancelled || call === null || call.roomId === null) return;
  const parties = world.livekit.attendance.inSession(call.roomId, OLDEST_LIST_MS);
  if (parties.length < 2) return;
  world.fail(
    new InvariantViolation(
      `hangup ends call ${callId} (${reason}) while ${named(parties)} talk`,
      call.roomName,
    ),
  );
}

function describe(
  { eventLog, database }: World,
  { message, roomName }: InvariantViolation,
  { seed, calls, store = 'sqlite' }: Simulation,
): string {
  const history = roomName === null ? [] : eventLog.historyOf(roomName);
  const audit =
    roomName === null
      ? []
      : database
          .callsIn(roomName)
          .flatMap(({ id, status }) => [`${id} (${status})`, ...database.auditOf(id)]);
  return [
    `seed ${seed}, ${calls} calls: ${message}`,
    ...(roomName === null
      ? []
      : [`history of the room ${roomName}:`, ...history, 'the audit log:', ...audit]),
    `repeat: npm run simulate -- --seed ${seed} --calls ${calls}${store === 'sqlite' ? '' : ` --store ${store}`}`,
  ].join('\n');
}
