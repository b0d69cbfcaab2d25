import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { AdoptedCall } from '../../src/domain/adopt-room.ts';
import type { Call } from '../../src/domain/call.ts';
import { isLive, LIVE_STATUSES } from '../../src/domain/call-status.ts';
import { applyRoomEvent } from '../../src/domain/call-transition.ts';
import type { Observation } from '../../src/domain/observation.ts';
import type { ParticipantList } from '../../src/domain/roster-changes.ts';
import type { AuditEntry, CallRecord, OpenStore, Store } from '../../src/ports/store.ts';
import type { Clock } from '../../src/ports/system.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { type ManualClock, manualClock } from '../harness/manual-clock.ts';
import {
  AFTER_GRACE_PERIODS,
  type Arrival,
  agreeingList,
  applyAll,
  arrivalsOf,
  FIRST_SESSION,
  LATER_SESSION,
} from '../harness/room-events.ts';
import {
  arbitraryRoom,
  type History,
  participantOf,
  playRoom,
  RELIABLE_DELIVERY,
  type Room,
} from '../harness/room-model.ts';
import { inbound, POLICY } from '../harness/rosters.ts';

/* Properties of calls that only a real store can break: each event is applied once, and stored with the deletion. */

const CONNECTIONS = 2;
const histories = arbitraryRoom(RELIABLE_DELIVERY);

const commandOf = ({ event }: Arrival) =>
  ({
    kind: 'room_event',
    event,
    policy: POLICY,
    adopted: { id: `adopted by ${event.id}`, agentId: null },
  }) as const;

/** A store whose clock a test sets. */
interface TestStore extends OpenStore {
  readonly clock: ManualClock;
}

/** A kind of store. */
export interface StoreKind {
  /** Makes an empty database. Returns its path or URL. */
  createDatabase(): string | Promise<string>;
  open(database: string, clock: Clock): OpenStore | Promise<OpenStore>;
  /** JavaScript of a function with the parameters of `open`, for another thread. */
  readonly openInThread: string;
}

/** The kind of store of the current tests. */
let kind: StoreKind;

async function openTestStore(database: string): Promise<TestStore> {
  const clock = manualClock();
  return { ...(await kind.open(database, clock)), clock };
}

async function applyEvent(store: TestStore, arrival: Arrival) {
  store.clock.set(arrival.arrivesAt);
  return (await store.changeCall(commandOf(arrival))).result;
}

async function observe(
  store: TestStore,
  observation: Observation,
  now: number,
  adopted: AdoptedCall | null = null,
) {
  store.clock.set(now);
  const command = { kind: 'observation', observation, policy: POLICY, adopted, leaseMs: null } as const;
  return (await store.changeCall(command)).result;
}

async function openStores() {
  const database = await kind.createDatabase();
  const stores = await Promise.all(Array.from({ length: CONNECTIONS }, () => openTestStore(database)));
  onTestFinished(async () => {
    for (const store of stores) await store.close();
  });
  const [store] = stores;
  if (store === undefined) throw new Error('no store');
  const { organizationId } = await insertApiKey(store);
  let calls = 0;
  const newCall = async (parts: Partial<Call> = {}) => {
    calls += 1;
    const call = buildCall({
      id: `call_${calls}`,
      organizationId,
      roomName: `room ${calls}`,
      createdAt: 1,
      ...parts,
    });
    const { result } = await store.changeCall({ kind: 'register', call, apiKeyId: 'key_1' });
    expect(result.kind).toBe('registered');
    return call;
  };
  return { database, store, stores, newCall };
}

async function readRecord(store: Store, callId: string): Promise<CallRecord> {
  const record = await store.findCall(callId);
  if (record === null) throw new Error(`call not found: ${callId}`);
  return record;
}

/** Returns the complete audit log of a call, page by page. */
async function auditOf(store: Store, callId: string): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for (;;) {
    const page = await store.listCallEvents({ callId, after: entries.at(-1)?.id ?? 0, limit: 3 });
    if (page.length === 0) return entries;
    entries.push(...page);
  }
}

async function cancel(store: TestStore, { id: callId, organizationId }: Call, now: number) {
  store.clock.set(now);
  const { result } = await store.changeCall({
    kind: 'cancel',
    callId,
    organizationId,
    apiKeyId: 'key_1',
    reason: null,
    leaseMs: 7_500,
    idempotency: null,
  });
  return result;
}

function claim(store: TestStore, now: number) {
  store.clock.set(now);
  return store.claimDeletions({ leaseMs: 15_000, maxDelayMs: 1_000_000_000, limit: 1_000 });
}

/** Returns LiveKit's list of the participants in the call's room. */
type ParticipantLister = (call: Call, requestedAt: number) => Pick<ParticipantList, 'participants'>;

/** Lists the participants of the model's room. */
const modelList =
  (room: Room, { sid, createdAt } = FIRST_SESSION): ParticipantLister =>
  (_, requestedAt) => ({
    participants: room.list(requestedAt - createdAt).map(({ connection, callStatus, isAnswered }) => {
      const participant = participantOf(connection, callStatus, isAnswered);
      return {
        ...participant,
        sid: `${sid} ${participant.sid}`,
        joinedAt: participant.joinedAt + createdAt,
      };
    }),
  });

const AGREEING_LIST: ParticipantLister = agreeingList;
function listReviews(store: TestStore, now: number) {
  store.clock.set(now);
  return store.listReviews({ maxDelayMs: 1_000_000_000, limit: 100 });
}

/** Runs each due review at its time, in all processes concurrently. @returns the ids of the ended calls */
async function reviewUntil(
  stores: readonly TestStore[],
  moment: number,
  list: ParticipantLister,
): Promise<string[]> {
  const ended: string[] = [];
  let now: number | null = 0;
  for (let rounds = 0; now !== null && now <= moment; rounds += 1) {
    if (rounds > 1_000) throw new Error('reviews without end');
    const due: number = now;
    const passes = await Promise.all(
      stores.map(async (store) => {
        const { due: reviews, nextAt } = await listReviews(store, due);
        for (const { callId, version } of reviews) {
          const { call } = await readRecord(store, callId);
          const listed = { ...list(call, due), requestedAt: due, version, isTrusted: true };
          const result = await observe(store, { kind: 'participants', callId, ...listed }, due);
          if (result?.decision.kind === 'end') ended.push(callId);
        }
        return { hasReviewed: reviews.length > 0, nextAt };
      }),
    );
    // A review may schedule another review that is due at once.
    const isRepeated = passes.some(({ hasReviewed }) => hasReviewed);
    now = isRepeated ? due : (passes.at(-1)?.nextAt ?? null);
  }
  return ended;
}

interface PlayedEvents {
  /** The call and its deletion after each event. */
  readonly records: readonly CallRecord[];
  /** How often each event was applied. */
  readonly applied: ReadonlyMap<string, number>;
  readonly endedByReconciler: readonly string[];
}

/** Applies every event on every connection, runs due reviews, cancels at most once, and finally reports the room absent. */
async function play(
  stores: readonly TestStore[],
  call: Call,
  arrivals: readonly Arrival[],
  { cancelAt = -1, list = AGREEING_LIST } = {},
): Promise<PlayedEvents> {
  const [store] = stores;
  if (store === undefined) throw new Error('no store');
  const records = [await readRecord(store, call.id)];
  const applied = new Map<string, number>();
  const endedByReconciler: string[] = [];
  for (const [i, arrival] of arrivals.entries()) {
    endedByReconciler.push(...(await reviewUntil(stores, arrival.arrivesAt - 1, list)));
    records.push(await readRecord(store, call.id));
    if (i === cancelAt) await cancel(store, call, arrival.arrivesAt);
    const results = await Promise.all(stores.map((connection) => applyEvent(connection, arrival)));
    for (const { kind } of results) {
      expect(['applied', 'duplicate']).toContain(kind);
      const { id } = arrival.event;
      applied.set(id, (applied.get(id) ?? 0) + (kind === 'applied' ? 1 : 0));
    }
    records.push(await readRecord(store, call.id));
  }
  const now = Math.max(AFTER_GRACE_PERIODS, arrivals.at(-1)?.arrivesAt ?? 0);
  endedByReconciler.push(...(await reviewUntil(stores, now, list)));
  const { roomId: sid } = (await readRecord(store, call.id)).call;
  const absences = await Promise.all(
    stores.map((connection) => observe(connection, { kind: 'room_absent', callId: call.id, sid }, now)),
  );
  endedByReconciler.push(...absences.flatMap((result) => (result?.decision.kind === 'end' ? [call.id] : [])));
  records.push(await readRecord(store, call.id));
  return { records, applied, endedByReconciler };
}

const rank = ({ status }: Pick<Call, 'status'>) =>
  isLive(status) ? LIVE_STATUSES.indexOf(status) : LIVE_STATUSES.length;
const finalFields = ({ roster: _, ...call }: Call) => call;

/** Asserts the invariants of an ended call, whatever events were applied. */
async function expectValidRecord(store: Store, { id }: Call, { records, endedByReconciler }: PlayedEvents) {
  records.forEach(({ call, deletion }, i) => {
    const before = records[i - 1]?.call ?? call;
    expect(rank(call)).toBeGreaterThanOrEqual(rank(before));
    expect(call.endedAt !== null).toBe(!isLive(call.status));
    if (before.endedAt !== null) expect(finalFields(call)).toEqual(finalFields(before));
    // hangup never deletes the room of a live call.
    if (isLive(call.status)) expect(deletion).toBeNull();
    else expect(call.reviewAt).toBeNull();
  });
  const last = await readRecord(store, id);
  expect(isLive(last.call.status)).toBe(false);

  const audit = await auditOf(store, id);
  expect(audit[0]).toMatchObject({ action: 'call.created', toStatus: 'initiated' });
  let status = audit[0]?.toStatus ?? null;
  const ends: AuditEntry[] = [];
  for (const entry of audit.slice(1)) {
    if (entry.action === 'call.room_deletion_reopened') {
      expect(ends).toHaveLength(1);
      continue;
    }
    expect(entry.fromStatus).toBe(status);
    if (entry.fromStatus === null || entry.toStatus === null) throw new Error('a change without statuses');
    expect(rank({ status: entry.toStatus })).toBeGreaterThan(rank({ status: entry.fromStatus }));
    if (!isLive(entry.toStatus)) ends.push(entry);
    status = entry.toStatus;
  }
  expect(status).toBe(last.call.status);
  expect(ends).toHaveLength(1);
  const [end] = ends;
  expect(endedByReconciler).toEqual(end?.actor === 'reconciler' ? [id] : []);
  const isReopened = audit.some(({ action }) => action === 'call.room_deletion_reopened');
  const isRoomGone =
    end?.reason === 'room_finished' || (end?.reason?.startsWith('the room is gone') ?? false);
  expect(last.deletion === null).toBe(isRoomGone && !isReopened);
}

/** Completes every open deletion. @returns the ids of their calls */
async function deleteRooms(store: TestStore, now: number): Promise<string[]> {
  const claimed = await claim(store, now);
  for (const { callId, attempt } of claimed) {
    const settlement = { state: 'completed' } as const;
    const settling = { callId, attempt, settlement, wasRescued: false, keptBecause: null };
    expect(await store.settleDeletion(settling)).toMatchObject({ state: 'completed' });
  }
  return claimed.map(({ callId }) => callId);
}

const delays = (maxMs: number) =>
  fc.array(fc.integer({ min: 0, max: maxMs }), { minLength: 80, maxLength: 80 });

/** Some events of two sessions of a room, in an order that LiveKit cannot produce. */
interface ShuffledSessions {
  readonly first: History;
  readonly second: History;
  readonly order: readonly number[];
  readonly intervalMs: number;
}
const shuffledSessions: fc.Arbitrary<ShuffledSessions> = fc
  .tuple(histories, histories)
  .chain(([first, second]) => {
    const count = playRoom(first).webhooks.length + playRoom(second).webhooks.length;
    return fc.record({
      first: fc.constant(first),
      second: fc.constant(second),
      order: fc.shuffledSubarray([...Array(count).keys()], { minLength: 1, maxLength: Math.min(count, 30) }),
      intervalMs: fc.integer({ min: 0, max: 30_000 }),
    });
  });

function arrivalsIn({ first, second, order, intervalMs }: ShuffledSessions, name: string): Arrival[] {
  const arrivals = [
    ...arrivalsOf(playRoom(first), { ...FIRST_SESSION, name }),
    ...arrivalsOf(playRoom(second), { ...LATER_SESSION, name }),
  ];
  return order.flatMap((index, i) => {
    const event = arrivals[index]?.event;
    return event === undefined ? [] : [{ event, arrivesAt: FIRST_SESSION.createdAt + i * intervalMs }];
  });
}

const outcomeOf = ({
  status,
  failureReason,
  startedAt,
  answeredAt,
  endedAt,
  roster,
  phoneNumber,
  direction,
}: Call) => ({ status, failureReason, startedAt, answeredAt, endedAt, roster, phoneNumber, direction });

/** A history up to a time at which a review is scheduled. */
const waiting = histories
  .chain((history) => {
    const arrivals = arrivalsOf(playRoom(history));
    return fc.tuple(fc.constant(history), fc.integer({ min: 1, max: arrivals.length }));
  })
  .filter(([history, length]) => {
    const arrivals = arrivalsOf(playRoom(history)).slice(0, length);
    const { call } = applyAll(arrivals, { isRoomAbsentAtEnd: false });
    return isLive(call.status) && (call.reviewAt ?? 0) > (arrivals.at(-1)?.arrivesAt ?? 0);
  });

/** Applies commands on its own connection in its own thread. Plain JavaScript, because a worker runs this text. */
const senderText = () => `
  const { parentPort, workerData } = require('node:worker_threads');
  let now = 0;
  const open = ${kind.openInThread};
  open(workerData.database, { now: () => now }).then((store) => {
    parentPort.on('message', async (steps) => {
      const kinds = [];
      for (const { command, at } of steps) {
        now = at;
        const { result } = await store.changeCall(command);
        kinds.push([command.event.id, result.kind]);
      }
      parentPort.postMessage(kinds);
    });
    parentPort.postMessage([]);
  });
`;

/** The tests of calls in histories of events, for every kind of store. */
export function eventHistories(name: string, testedKind: StoreKind): void {
  describe(`${name}: histories of events`, () => {
    beforeEach(() => {
      kind = testedKind;
    });

    test('events delivered twice on two connections, at once and later, are applied once', async () => {
      const { store, stores, newCall } = await openStores();
      await fc.assert(
        fc.asyncProperty(histories, delays(100_000), async (history, againAfterMs) => {
          const call = await newCall();
          const arrivals = arrivalsOf(playRoom(history), { ...FIRST_SESSION, name: call.roomName });
          const repeats = arrivals.map(({ event, arrivesAt }, i) => ({
            event,
            arrivesAt: arrivesAt + (againAfterMs[i] ?? 0),
          }));
          const both = [...arrivals, ...repeats].toSorted((a, b) => a.arrivesAt - b.arrivesAt);
          const played = await play(stores, call, both);
          await expectValidRecord(store, call, played);
          for (const { event } of arrivals) expect(played.applied.get(event.id)).toBe(1);
          const expected = outcomeOf(applyAll(arrivals, { parts: call }).call);
          expect(outcomeOf((await readRecord(store, call.id)).call)).toEqual(expected);
        }),
        { numRuns: 40 },
      );
    });

    test("reviews by the model's lists on two connections leave a valid record", async () => {
      const { store, stores, newCall } = await openStores();
      await fc.assert(
        fc.asyncProperty(histories, async (history) => {
          const call = await newCall();
          const room = playRoom(history);
          const arrivals = arrivalsOf(room, { ...FIRST_SESSION, name: call.roomName });
          const played = await play(stores, call, arrivals, { list: modelList(room) });
          await expectValidRecord(store, call, played);
        }),
        { numRuns: 40 },
      );
    });

    test('events in any order, with or without a cancel, leave a valid record, equal to the one in memory', async () => {
      const { store, stores, newCall } = await openStores();
      await fc.assert(
        fc.asyncProperty(shuffledSessions, fc.integer({ min: -5, max: 15 }), async (mixed, cancelAt) => {
          const call = await newCall();
          const arrivals = arrivalsIn(mixed, call.roomName);
          const played = await play(stores, call, arrivals, { cancelAt });
          await expectValidRecord(store, call, played);
          const last = await readRecord(store, call.id);
          const isCancelled = last.call.cancelledBy !== null;
          if (!isCancelled) {
            expect(outcomeOf(last.call)).toEqual(outcomeOf(applyAll(arrivals, { parts: call }).call));
          }
          for (const { event } of arrivals) expect(played.applied.get(event.id)).toBe(1);
        }),
        { numRuns: 60 },
      );
    });

    test('a call that was cancelled before its review is neither reviewed nor changed', async () => {
      const { store, stores, newCall } = await openStores();
      await fc.assert(
        fc.asyncProperty(waiting, async ([history, length]) => {
          const call = await newCall();
          const arrivals = arrivalsOf(playRoom(history), { ...FIRST_SESSION, name: call.roomName });
          for (const arrival of arrivals.slice(0, length)) {
            await reviewUntil(stores, arrival.arrivesAt - 1, AGREEING_LIST);
            await applyEvent(store, arrival);
          }
          const now = (arrivals[length - 1]?.arrivesAt ?? 0) + 1;
          expect((await listReviews(store, 0)).nextAt).not.toBeNull();
          expect(await cancel(store, call, now)).toMatchObject({ kind: 'cancelled' });
          const ended = await readRecord(store, call.id);
          expect(await reviewUntil(stores, now + 10_000_000, AGREEING_LIST)).toEqual([]);
          expect(await listReviews(store, now + 10_000_000)).toEqual({ due: [], nextAt: null });
          expect(await readRecord(store, call.id)).toEqual(ended);
        }),
        { numRuns: 40 },
      );
    });

    test('a review is dropped when the session of its room ends', async () => {
      const { store, stores, newCall } = await openStores();
      await fc.assert(
        fc.asyncProperty(
          waiting,
          histories,
          fc.integer({ min: 1, max: 24_000 }),
          async ([cut, length], later, afterMs) => {
            const call = await newCall();
            const { roomName: name } = call;
            const earlier = arrivalsOf(playRoom(cut), { ...FIRST_SESSION, name }).slice(0, length);
            const createdAt = (earlier.at(-1)?.arrivesAt ?? 0) + afterMs;
            const next = arrivalsOf(playRoom(later), { sid: LATER_SESSION.sid, createdAt, name });
            const arrivals = [...earlier, ...next];
            const played = await play(stores, call, arrivals);
            await expectValidRecord(store, call, played);
            const { endedBy, call: expected } = applyAll(arrivals, { parts: call });
            expect(outcomeOf((await readRecord(store, call.id)).call)).toEqual(outcomeOf(expected));
            expect(played.endedByReconciler).toHaveLength(
              endedBy === 'review' || endedBy === 'absence' ? 1 : 0,
            );
          },
        ),
        { numRuns: 40 },
      );
    });

    test('the room of an ended call is claimed for deletion once, and again only when the guard requires it', async () => {
      const { store, stores, newCall } = await openStores();
      const hasDeleted = new Set<boolean>();
      await fc.assert(
        fc.asyncProperty(histories, histories, fc.boolean(), async (history, later, isCancelled) => {
          const call = await newCall();
          const { roomName: name } = call;
          const arrivals = arrivalsOf(playRoom(history), { ...FIRST_SESSION, name });
          const played = await play(stores, call, arrivals, { cancelAt: isCancelled ? 1 : -1 });
          await expectValidRecord(store, call, played);
          let now = AFTER_GRACE_PERIODS + 10_000;
          const { deletion } = await readRecord(store, call.id);
          const isOpen = deletion !== null && deletion.state !== 'completed';
          expect(await deleteRooms(store, now)).toEqual(isOpen ? [call.id] : []);
          const session = { sid: 'RM_2', createdAt: now, name };
          for (const { event } of arrivalsOf(playRoom(later), session)) {
            now += 1_000;
            const before = (await readRecord(store, call.id)).call;
            const { decision } = applyRoomEvent(before, event, { policy: POLICY, now, isAdoptable: false });
            const isDeleted = decision.kind === 'delete_room';
            hasDeleted.add(isDeleted);
            const result = await applyEvent(store, { event, arrivesAt: now });
            expect(result).toMatchObject({
              kind: 'applied',
              callId: call.id,
              decision,
              dueAt: isDeleted ? now : null,
            });
            expect(await deleteRooms(store, now)).toEqual(isDeleted ? [call.id] : []);
          }
          const last = await readRecord(store, call.id);
          const end = played.records.at(-1)?.call;
          expect(finalFields(last.call)).toEqual(end && finalFields(end));
          if (last.deletion !== null) expect(last.deletion.state).toBe('completed');
        }),
        { numRuns: 40 },
      );
      expect(hasDeleted).toEqual(new Set([true, false]));
    });

    test('late events of an earlier call in the room do not change the end of the next call', async () => {
      const { store, newCall } = await openStores();
      await fc.assert(
        fc.asyncProperty(
          fc.record({ earlier: histories, later: histories, cut: fc.nat(8) }),
          fc.array(fc.nat(20), { minLength: 80, maxLength: 80 }),
          async ({ earlier, later, cut }, where) => {
            const first = await newCall();
            const { roomName: name } = first;
            const ofFirst = arrivalsOf(playRoom(earlier), { ...FIRST_SESSION, name });
            // At least one event arrives before the cancel, so the call has a room.
            const delivered = ofFirst.slice(0, cut + 1);
            const rest = ofFirst.slice(cut + 1);
            for (const arrival of delivered) await applyEvent(store, arrival);
            const now = LATER_SESSION.createdAt - 100_000;
            await reviewUntil([store], now, AGREEING_LIST);
            await cancel(store, first, now);
            await deleteRooms(store, now + 20_000);
            const ended = await readRecord(store, first.id);

            const parts = { roomName: name, createdAt: now + 20_000, updatedAt: now + 20_000 };
            const second = await newCall(parts);
            const ofSecond = arrivalsOf(playRoom(later), { ...LATER_SESSION, name });
            const mixed = ofSecond.flatMap((arrival, i) => [
              ...rest
                .filter((_, j) => where[j] === i)
                .map(({ event }): Arrival => ({ event, arrivesAt: arrival.arrivesAt })),
              arrival,
            ]);
            for (const arrival of mixed) {
              await reviewUntil([store], arrival.arrivesAt - 1, AGREEING_LIST);
              await applyEvent(store, arrival);
            }
            await reviewUntil([store], AFTER_GRACE_PERIODS, AGREEING_LIST);
            const options = { parts: second, isRoomAbsentAtEnd: false, reviewedUntil: AFTER_GRACE_PERIODS };
            const alone = applyAll(ofSecond, options).call;
            const { call } = await readRecord(store, second.id);
            expect(outcomeOf(call)).toEqual(outcomeOf(alone));
            expect(await readRecord(store, first.id)).toEqual(ended);
            if (isLive(call.status)) await cancel(store, second, AFTER_GRACE_PERIODS);
            await deleteRooms(store, AFTER_GRACE_PERIODS + 100_000);
          },
        ),
        { numRuns: 50 },
      );
    });

    test('two processes that observe a new caller in the room of an ended call at once begin one call', async () => {
      const { store, stores, newCall } = await openStores();
      await store.addAdoptionPrefix({
        prefix: 'desk',
        organizationName: 'acme',
        organizationIdIfNew: 'org_1',
        now: 1,
      });
      const ended = await newCall({ roomName: 'desk' });
      await cancel(store, ended, 10_000);
      const room = { name: 'desk', sid: 'RM_2', createdAt: 20_000, metadata: '' };
      const participants = [{ ...inbound(), joinedAt: 20_000 }];
      const results = await Promise.all(
        stores.map((connection, i) =>
          observe(
            connection,
            {
              kind: 'room_of_ended',
              callId: ended.id,
              room,
              participants,
              requestedAt: 21_000,
              version: '',
              isTrusted: false,
            },
            21_000,
            { id: `adopted ${i}`, agentId: null },
          ),
        ),
      );
      expect(results.map((result) => result?.wasAdopted ?? null).toSorted()).toEqual([null, true].toSorted());
      const adopted = results.find((result) => result !== null);
      expect((await readRecord(store, adopted?.callId ?? '')).call).toMatchObject({ status: 'ringing' });
      expect((await readRecord(store, ended.id)).deletion).toMatchObject({ state: 'completed' });
      expect(await claim(store, 1_000_000)).toEqual([]);
    });

    test('of threads that apply the same events at once, exactly one applies each event', async () => {
      const { database, store, newCall } = await openStores();
      const workerData = { database };
      const senders = [1, 2, 3].map(() => new Worker(senderText(), { eval: true, workerData }));
      onTestFinished(async () => {
        await Promise.all(senders.map((sender) => sender.terminate()));
      });
      await Promise.all(senders.map((sender) => once(sender, 'message')));
      const winners = new Set<number>();
      await fc.assert(
        fc.asyncProperty(shuffledSessions, async (mixed) => {
          const call = await newCall();
          const arrivals = arrivalsIn(mixed, call.roomName);
          const responses = senders.map((sender) => once(sender, 'message'));
          const steps = arrivals.map((arrival) => ({ command: commandOf(arrival), at: arrival.arrivesAt }));
          for (const sender of senders) sender.postMessage(steps);
          const applied = new Map<string, number>();
          (await Promise.all(responses)).forEach(([kinds]: [string, string][][], i) => {
            for (const [id, kind] of kinds ?? []) {
              expect(['applied', 'duplicate']).toContain(kind);
              if (kind !== 'applied') continue;
              winners.add(i);
              applied.set(id, (applied.get(id) ?? 0) + 1);
            }
          });
          expect(applied).toEqual(new Map(arrivals.map(({ event }) => [event.id, 1])));
          const before = [await readRecord(store, call.id)];
          const { records, ...played } = await play([store], call, arrivals);
          await expectValidRecord(store, call, { ...played, records: [...before, ...records] });
        }),
        { numRuns: 30 },
      );
      expect(winners.size).toBeGreaterThan(1);
    });
  });
}
