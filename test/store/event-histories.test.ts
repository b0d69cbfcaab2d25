import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { type Call, isLive, LIVE_STATUSES } from '../../src/domain/call.ts';
import type { AuditEntry, CallRecord, EventInput, Store } from '../../src/domain/ports.ts';
import { openSqliteStore } from '../../src/store/sqlite-store.ts';
import { aCall } from '../harness/calls.ts';
import {
  absence,
  afterwards,
  aHistory,
  eventsOf,
  FIRST_LIFE,
  inTime,
  late,
  POLICY,
  type Story,
  type Telling,
  tell,
} from '../harness/histories.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/* The properties of histories of events that only a real store can break: once, on record, with its deletion. */

const LATER_LIFE = { sid: 'RM_2', createdAt: 400_000 };
const CONNECTIONS = 2;

const inputOf = ({ event, arrivesAt }: Telling): EventInput => ({
  event,
  policy: POLICY,
  now: arrivesAt,
  adoption: { callId: `adopted by ${event.id}`, agentId: null },
});

async function aStore() {
  const file = join(temporaryFolder(), 'hangup.db');
  const stores = Array.from({ length: CONNECTIONS }, () => openSqliteStore(file));
  onTestFinished(() => {
    for (const store of stores) store.close();
  });
  const [store] = stores;
  if (store === undefined) throw new Error('no store');
  const { organizationId } = await store.createApiKey({
    id: 'key_1',
    organizationName: 'acme',
    organizationIdIfNew: 'org_1',
    name: 'test',
    hash: '0'.repeat(64),
    scopes: ['calls:cancel'],
    expiresAt: null,
    now: 1,
  });
  let calls = 0;
  const newCall = async (parts: Partial<Call> = {}) => {
    calls += 1;
    const call = aCall({
      id: `call_${calls}`,
      organizationId,
      roomName: `room ${calls}`,
      createdAt: 0,
      ...parts,
    });
    expect(await store.createCall({ call, apiKeyId: 'key_1' })).toBe('created');
    return call;
  };
  return { file, store, stores, newCall };
}

async function recordOf(store: Store, callId: string): Promise<CallRecord> {
  const record = await store.findCall(callId);
  if (record === null) throw new Error(`${callId} is gone`);
  return record;
}

/** All of it, page by page. */
async function auditOf(store: Store, callId: string): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for (;;) {
    const page = await store.listCallEvents({ callId, after: entries.at(-1)?.id ?? 0, limit: 3 });
    if (page.length === 0) return entries;
    entries.push(...page);
  }
}

const cancel = (store: Store, { id: callId, organizationId }: Call, now: number) =>
  store.cancelCall({
    callId,
    organizationId,
    apiKeyId: 'key_1',
    reason: null,
    now,
    leaseUntil: now + 7_500,
    idempotency: null,
  });

const claim = (store: Store, now: number) =>
  store.claimDeletions({ now, leaseUntil: now + 15_000, farthest: now + 100_000_000, limit: 1_000 });

/** As a reconciler would that is never late, in every process at once. @returns the calls that it ended */
async function settleUntil(stores: readonly Store[], time: number): Promise<string[]> {
  const ended: string[] = [];
  let now: number | null = 0;
  while (now !== null && now <= time) {
    const due: number = now;
    const settled = await Promise.all(stores.map((store) => store.settleGraces({ now: due, limit: 100 })));
    ended.push(...settled.flatMap((one) => one.ended.map(({ callId }) => callId)));
    now = settled.at(-1)?.nextAt ?? null;
  }
  return ended;
}

interface Played {
  /** The call and its deletion after each event. */
  readonly records: readonly CallRecord[];
  /** How often each event was applied. */
  readonly applied: ReadonlyMap<string, number>;
  readonly endedByGrace: readonly string[];
}

/** Tells every connection of everything, settles graces when due, cancels at one moment; the room is absent at last. */
async function play(
  stores: readonly Store[],
  call: Call,
  tellings: readonly Telling[],
  { cancelAt = -1 } = {},
): Promise<Played> {
  const [store] = stores;
  if (store === undefined) throw new Error('no store');
  const records = [await recordOf(store, call.id)];
  const applied = new Map<string, number>();
  const endedByGrace: string[] = [];
  const hear = async (telling: Telling) => {
    endedByGrace.push(...(await settleUntil(stores, telling.arrivesAt)));
    records.push(await recordOf(store, call.id));
    const results = await Promise.all(stores.map((one) => one.applyEvent(inputOf(telling))));
    for (const { kind } of results) {
      expect(['applied', 'duplicate']).toContain(kind);
      const { id } = telling.event;
      applied.set(id, (applied.get(id) ?? 0) + (kind === 'applied' ? 1 : 0));
    }
    records.push(await recordOf(store, call.id));
  };
  for (const [i, telling] of tellings.entries()) {
    if (i === cancelAt) await cancel(store, call, telling.arrivesAt);
    await hear(telling);
  }
  const now = afterwards(tellings);
  endedByGrace.push(...(await settleUntil(stores, now)));
  await hear(absence((await recordOf(store, call.id)).call, now));
  return { records, applied, endedByGrace };
}

const rank = ({ status }: Pick<Call, 'status'>) =>
  isLive(status) ? LIVE_STATUSES.indexOf(status) : LIVE_STATUSES.length;

/** What must be true of every call that has ended, whatever was told. */
async function expectSoundRecord(store: Store, { id }: Call, { records, endedByGrace }: Played) {
  records.forEach(({ call, deletion }, i) => {
    const before = records[i - 1]?.call ?? call;
    expect(rank(call)).toBeGreaterThanOrEqual(rank(before));
    expect(call.endedAt !== null).toBe(!isLive(call.status));
    if (before.endedAt !== null) expect(call).toEqual(before);
    // No room of a living call is ever deleted.
    if (isLive(call.status)) expect(deletion).toBeNull();
  });
  const last = await recordOf(store, id);
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
    if (entry.fromStatus === null || entry.toStatus === null)
      throw new Error('a change without its statuses');
    expect(rank({ status: entry.toStatus })).toBeGreaterThan(rank({ status: entry.fromStatus }));
    if (!isLive(entry.toStatus)) ends.push(entry);
    status = entry.toStatus;
  }
  expect(status).toBe(last.call.status);
  expect(ends).toHaveLength(1);
  const [end] = ends;
  expect(endedByGrace).toEqual(end?.actor === 'reconciler' ? [id] : []);
  const isReopened = audit.some(({ action }) => action === 'call.room_deletion_reopened');
  expect(last.deletion === null).toBe(end?.reason === 'room_finished' && !isReopened);
}

/** Completes every deletion that is open. @returns whose they were */
async function deleteRooms(store: Store, now: number): Promise<string[]> {
  const claimed = await claim(store, now);
  for (const { callId, attempt } of claimed) {
    const settlement = { state: 'completed' } as const;
    expect(await store.settleDeletion({ callId, attempt, settlement, wasRescued: false, now })).toBe(true);
  }
  return claimed.map(({ callId }) => callId);
}

const delays = (maxMs: number) =>
  fc.array(fc.integer({ min: 0, max: maxMs }), { minLength: 12, maxLength: 12 });
/** Two lives of one room, told in an order that LiveKit cannot produce, and not all of it. */
interface Scrambled {
  readonly one: Story;
  readonly two: Story;
  readonly order: readonly number[];
  readonly everyMs: number;
}
const scrambled: fc.Arbitrary<Scrambled> = fc.tuple(aHistory, aHistory).chain(([one, two]) =>
  fc.record({
    one: fc.constant(one),
    two: fc.constant(two),
    order: fc.shuffledSubarray(
      [...one.steps, ...two.steps].map((_, i) => i),
      { minLength: 1 },
    ),
    everyMs: fc.integer({ min: 0, max: 30_000 }),
  }),
);

function tellingsOf({ one, two, order, everyMs }: Scrambled, roomName: string): Telling[] {
  const events = [
    ...eventsOf(one, { ...FIRST_LIFE, roomName }),
    ...eventsOf(two, { ...LATER_LIFE, roomName }),
  ];
  return order.flatMap((index, i) => {
    const event = events[index];
    return event === undefined ? [] : [{ event, arrivesAt: 10_000 + i * everyMs }];
  });
}

const outcomeOf = ({ status, failureReason, startedAt, answeredAt, endedAt, life, phoneNumber }: Call) => ({
  status,
  failureReason,
  startedAt,
  answeredAt,
  endedAt,
  life,
  phoneNumber,
});

test('each event told twice on two connections at once, and again later: applied once, and the same call', async () => {
  const { store, stores, newCall } = await aStore();
  await fc.assert(
    fc.asyncProperty(aHistory, delays(20_000), delays(100_000), async (story, delaysMs, again) => {
      const call = await newCall();
      const { roomName } = call;
      const tellings = late(eventsOf(story, { ...FIRST_LIFE, roomName }), delaysMs);
      const doubles = tellings.map(({ event, arrivesAt }, i) => ({
        event,
        arrivesAt: arrivesAt + (again[i] ?? 0),
      }));
      const both = [...tellings, ...doubles].toSorted((a, b) => a.arrivesAt - b.arrivesAt);
      const played = await play(stores, call, both);
      await expectSoundRecord(store, call, played);
      for (const { event } of tellings) expect(played.applied.get(event.id)).toBe(1);
      const expected = outcomeOf(tell(tellings).call);
      expect(outcomeOf((await recordOf(store, call.id)).call)).toEqual(expected);
    }),
    { numRuns: 50 },
  );
});

test('whatever is told in whatever order, and cancelled or not: a record that makes sense', async () => {
  const { store, stores, newCall } = await aStore();
  await fc.assert(
    fc.asyncProperty(scrambled, fc.integer({ min: -5, max: 15 }), async (mixed, cancelAt) => {
      const call = await newCall();
      const tellings = tellingsOf(mixed, call.roomName);
      const played = await play(stores, call, tellings, { cancelAt });
      await expectSoundRecord(store, call, played);
      const last = await recordOf(store, call.id);
      const isCancelled = last.call.cancelledBy !== null;
      // The table, carried out in memory, says the same.
      if (!isCancelled) expect(outcomeOf(last.call)).toEqual(outcomeOf(tell(tellings).call));
      for (const { event } of tellings) expect(played.applied.get(event.id)).toBe(1);
    }),
    { numRuns: 80 },
  );
});

/** A history up to a moment at which somebody is waited for. */
const waiting = aHistory
  .chain((story) => fc.tuple(fc.constant(story), fc.integer({ min: 1, max: story.steps.length })))
  .map(([{ steps }, length]) => ({ steps: steps.slice(0, length) }))
  .filter((cut) => tell(inTime(eventsOf(cut)), { isFoundAbsent: false }).graces.length > 0);

test('a grace that runs when its call is cancelled changes nothing any more, and does not stay', async () => {
  const { store, stores, newCall } = await aStore();
  await fc.assert(
    fc.asyncProperty(waiting, async (story) => {
      const call = await newCall();
      const tellings = inTime(eventsOf(story, { ...FIRST_LIFE, roomName: call.roomName }));
      for (const telling of tellings) await store.applyEvent(inputOf(telling));
      expect((await store.settleGraces({ now: 0, limit: 1 })).nextAt).not.toBeNull();
      const now = (tellings.at(-1)?.arrivesAt ?? 0) + 1;
      expect(await cancel(store, call, now)).toMatchObject({ kind: 'cancelled' });
      const ended = await recordOf(store, call.id);
      expect(await settleUntil(stores, now + 10_000_000)).toEqual([]);
      expect((await store.settleGraces({ now: now + 10_000_000, limit: 1 })).nextAt).toBeNull();
      expect(await recordOf(store, call.id)).toEqual(ended);
    }),
    { numRuns: 50 },
  );
});

test('a grace ends with the life of the room that it was of', async () => {
  const { store, stores, newCall } = await aStore();
  await fc.assert(
    fc.asyncProperty(waiting, aHistory, fc.integer({ min: 1, max: 24_000 }), async (cut, later, afterMs) => {
      const call = await newCall();
      const { roomName } = call;
      const earlier = inTime(eventsOf(cut, { ...FIRST_LIFE, roomName }));
      const createdAt = (earlier.at(-1)?.arrivesAt ?? 0) + afterMs;
      const tellings = [...earlier, ...inTime(eventsOf(later, { ...LATER_LIFE, createdAt, roomName }))];
      const played = await play(stores, call, tellings);
      await expectSoundRecord(store, call, played);
      const { endedBy, call: expected } = tell(tellings);
      expect(outcomeOf((await recordOf(store, call.id)).call)).toEqual(outcomeOf(expected));
      expect(played.endedByGrace).toHaveLength(
        endedBy === 'agent_left' || endedBy === 'connection_lost' ? 1 : 0,
      );
    }),
    { numRuns: 40 },
  );
});

test('the room of an ended call is claimed for deletion, and again when it shows life, and only then', async () => {
  const { store, stores, newCall } = await aStore();
  await fc.assert(
    fc.asyncProperty(aHistory, aHistory, fc.boolean(), async (story, later, isCancelled) => {
      const call = await newCall();
      const { roomName } = call;
      const tellings = inTime(eventsOf(story, { ...FIRST_LIFE, roomName }));
      const cancelAt = isCancelled ? 1 : -1;
      const played = await play(stores, call, tellings, { cancelAt });
      await expectSoundRecord(store, call, played);
      let now = 10_000_000;
      const { deletion } = await recordOf(store, call.id);
      expect(await deleteRooms(store, now)).toEqual(deletion === null ? [] : [call.id]);
      for (const { event } of inTime(eventsOf(later, { sid: 'RM_2', createdAt: now, roomName }))) {
        now += 1_000;
        const result = await store.applyEvent(inputOf({ event, arrivesAt: now }));
        const showsLife = ['room_started', 'participant_joined'].includes(event.sign.kind);
        expect(result).toMatchObject({
          kind: 'applied',
          callId: call.id,
          decision: { kind: showsLife ? 'delete_room' : 'nothing' },
          dueAt: showsLife ? now : null,
        });
        expect(await deleteRooms(store, now)).toEqual(showsLife ? [call.id] : []);
      }
      const last = await recordOf(store, call.id);
      expect(last.call).toEqual(played.records.at(-1)?.call);
      expect(last.deletion?.state).toBe('completed');
    }),
    { numRuns: 50 },
  );
});

test('a later call under the same name ends as its own room says, whatever is told late of the earlier one', async () => {
  const { store, newCall } = await aStore();
  await fc.assert(
    fc.asyncProperty(
      fc.record({ earlier: aHistory, later: aHistory, cut: fc.nat(8) }),
      fc.array(fc.nat(8), { minLength: 12, maxLength: 12 }),
      async ({ earlier, later, cut }, where) => {
        const first = await newCall();
        const { roomName } = first;
        const ofFirst = eventsOf(earlier, { ...FIRST_LIFE, roomName });
        // Something was told of it before it was cancelled, so that its room is known.
        const known = inTime(ofFirst.slice(0, cut + 1));
        const rest = ofFirst.slice(cut + 1);
        for (const telling of known) await store.applyEvent(inputOf(telling));
        const now = 300_000;
        await settleUntil([store], now);
        await cancel(store, first, now);
        await deleteRooms(store, now + 20_000);
        const ended = await recordOf(store, first.id);

        const second = await newCall({ roomName, createdAt: now + 20_000, updatedAt: now + 20_000 });
        const ofSecond = inTime(eventsOf(later, { ...LATER_LIFE, roomName }));
        const mixed = ofSecond.flatMap((telling, i) => [
          ...rest
            .filter((_, j) => where[j] === i)
            .map((event): Telling => ({ event, arrivesAt: telling.arrivesAt })),
          telling,
        ]);
        for (const telling of mixed) {
          await settleUntil([store], telling.arrivesAt);
          await store.applyEvent(inputOf(telling));
        }
        await settleUntil([store], afterwards(mixed));
        const alone = tell(ofSecond, { isFoundAbsent: false }).call;
        const { call } = await recordOf(store, second.id);
        expect(outcomeOf(call)).toEqual({ ...outcomeOf(alone), endedAt: call.endedAt });
        expect(await recordOf(store, first.id)).toEqual(ended);
        await deleteRooms(store, 50_000_000);
      },
    ),
    { numRuns: 60 },
  );
});

/** Applies what it is sent, on a connection and a thread of its own. Plain JavaScript: it is read by Node. */
const TELLER = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.module).then(({ openSqliteStore }) => {
    const store = openSqliteStore(workerData.file);
    parentPort.on('message', async (inputs) => {
      const kinds = [];
      for (const input of inputs) kinds.push([input.event.id, (await store.applyEvent(input)).kind]);
      parentPort.postMessage(kinds);
    });
    parentPort.postMessage([]);
  });
`;

test('threads that tell the same history at the same moment: each event is applied by exactly one of them', async () => {
  const { file, store, newCall } = await aStore();
  const workerData = { file, module: new URL('../../src/store/sqlite-store.ts', import.meta.url).href };
  const tellers = [1, 2, 3].map(() => new Worker(TELLER, { eval: true, workerData }));
  onTestFinished(async () => {
    await Promise.all(tellers.map((teller) => teller.terminate()));
  });
  await Promise.all(tellers.map((teller) => once(teller, 'message')));
  const winners = new Set<number>();
  await fc.assert(
    fc.asyncProperty(scrambled, async (mixed) => {
      const call = await newCall();
      const tellings = tellingsOf(mixed, call.roomName);
      const answers = tellers.map((teller) => once(teller, 'message'));
      for (const teller of tellers) teller.postMessage(tellings.map(inputOf));
      const applied = new Map<string, number>();
      (await Promise.all(answers)).forEach(([kinds]: [string, string][][], i) => {
        for (const [id, kind] of kinds ?? []) {
          expect(['applied', 'duplicate']).toContain(kind);
          if (kind !== 'applied') continue;
          winners.add(i);
          applied.set(id, (applied.get(id) ?? 0) + 1);
        }
      });
      expect(applied).toEqual(new Map(tellings.map(({ event }) => [event.id, 1])));
      const before = [await recordOf(store, call.id)];
      const { records, ...played } = await play([store], call, tellings);
      await expectSoundRecord(store, call, { ...played, records: [...before, ...records] });
    }),
    { numRuns: 30 },
  );
  expect(winners.size).toBeGreaterThan(1);
});
