import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createRoomService } from '../../src/livekit/room-service.ts';
import type { RoomServiceTransport } from '../../src/livekit/transport/twirp.ts';
import { prometheusMetrics } from '../../src/metrics/prometheus.ts';
import { systemRandom } from '../../src/platform/clock.ts';
import { parseSettings } from '../../src/platform/config.ts';
import { createReconciler } from '../../src/reconciler/reconciler.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { type ManualClock, manualClock } from '../harness/manual-clock.ts';
import { manualScheduler } from '../harness/manual-scheduler.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const NOW = 1_000_000;

function start({
  answer,
  file = join(temporaryFolder(), 'hangup.db'),
  clock = manualClock(NOW),
}: {
  answer?: RoomServiceTransport;
  file?: string;
  clock?: ManualClock;
} = {}) {
  const store = openSqliteStore(file, { clock });
  onTestFinished(() => store.close());
  const settings = parseSettings({}, 'cli');
  const requests: string[] = [];
  let openSince: number | null = null;
  const livekit: RoomServiceTransport = async (request) => {
    requests.push(request.method);
    if (answer !== undefined) return answer(request);
    return openSince === null
      ? { kind: 'not_found' }
      : { kind: 'unavailable', code: null, detail: 'the connection failed' };
  };
  const { names, fire, scheduler } = manualScheduler();
  const metrics = prometheusMetrics({ clock, version: 'test' });
  const reconciler = createReconciler(
    {
      ...settings.operations,
      store,
      rooms: createRoomService(livekit),
      clock,
      random: systemRandom,
      metrics,
      log: { info: () => {}, warn: () => {}, error: () => {} },
    },
    { concurrency: 2, reconcileSchedule: '*/15 * * * * *', openSince: () => openSince, scheduler },
  );
  return {
    reconciler,
    store,
    advance: (ms: number) => clock.set(clock.now() + ms),
    names,
    fire,
    requests,
    /** Returns the number of complete runs of the loop that lists rooms. */
    async countRuns() {
      const { body } = await metrics.scrape({ countLive: () => store.countLive(), isLiveKitUp: true });
      return Number(/^hangup_reconcile_duration_seconds_count\{loop="rooms"\} (\d+)$/m.exec(body)?.[1] ?? 0);
    },
    countLists: () => requests.filter((method) => method === 'ListRooms').length,
    setOpenSince: (at: number | null) => {
      openSince = at;
    },
  };
}

const SCHEDULES = [
  'every 1000',
  'every 1000',
  'every 5000',
  'every 1000',
  'cron */15 * * * * *',
  'every 60000',
  'after 60000',
  'every 3600000',
  // The heartbeat under way expires.
  'after 7500',
];

test('the loops start after a short delay: one by the cron schedule, the others at fixed intervals', async () => {
  const { reconciler, names, fire, requests } = start();
  reconciler.start();
  expect(names()).toEqual(['after 100']);
  fire('after 100');
  expect(names()).toEqual(SCHEDULES);
  // The heartbeat comes before the first list.
  await expect.poll(() => requests).toEqual(['ListRooms']);
  await reconciler.stop();
  expect(requests).toEqual(['ListRooms']);
});

test('a nudge replaces a later nudge, and is ignored after an earlier one', async () => {
  const { reconciler, names, fire } = start();
  reconciler.nudge(NOW + 500);
  reconciler.nudge(NOW + 300);
  reconciler.nudge(NOW + 400);
  expect(names()).toEqual(['after 300']);
  fire('after 300');
  reconciler.nudge(NOW + 900);
  expect(names()).toEqual(['after 900']);
  await reconciler.stop();
});

test('stop cancels every schedule, and nothing starts after it', async () => {
  const { reconciler, names, fire, requests } = start();
  reconciler.start();
  fire('after 100');
  reconciler.nudge(NOW + 500);
  await reconciler.stop();
  expect(names()).toEqual([]);
  requests.length = 0;
  reconciler.nudge(NOW + 500);
  reconciler.onLiveKitRecovered(1_000);
  expect([names(), requests]).toEqual([[], []]);
});

test('while LiveKit is unreachable each interval sends one probe; after the recovery the rooms are listed', async () => {
  const { reconciler, fire, names, requests, setOpenSince } = start();
  reconciler.start();
  setOpenSince(NOW);
  reconciler.onLiveKitUnreachable();
  fire('after 100');
  await expect.poll(() => requests).toEqual(['ListRooms']);
  await expect.poll(names).toContain('after 7500');
  for (const name of ['every 1000', 'cron */15 * * * * *', 'every 5000']) fire(name);
  await expect.poll(() => requests).toEqual(['ListRooms', 'ListRooms']);
  setOpenSince(null);
  reconciler.onLiveKitRecovered(5_000);
  await reconciler.stop();
  expect(requests).toEqual(['ListRooms', 'ListRooms', 'ListRooms']);
});

test('a list that spans an outage does not shorten the time in which clients reconnect', async () => {
  const gate = Promise.withResolvers<void>();
  const { reconciler, store, advance, fire, requests, countLists, setOpenSince } = start({
    answer: async ({ method, body, read }) => {
      if (method === 'ListRooms') await gate.promise;
      return { kind: 'answered', value: await read(emptyMessage(body)) };
    },
  });
  const { organizationId } = await insertApiKey(store);
  const call = buildCall({
    id: 'c1',
    organizationId,
    status: 'active',
    roomId: 'RM_1',
    createdAt: 1,
    updatedAt: 1,
  });
  await store.changeCall({ kind: 'register', call, apiKeyId: null });
  reconciler.start();
  fire('after 100');
  await expect.poll(() => requests).toContain('ListRooms');
  setOpenSince(NOW);
  reconciler.onLiveKitUnreachable();
  setOpenSince(null);
  reconciler.onLiveKitRecovered(1_000);
  gate.resolve();
  const listAgain = async () => {
    const before = countLists();
    fire('cron */15 * * * * *');
    await expect.poll(countLists).toBeGreaterThan(before);
  };
  for (const seconds of [0, 11, 11]) {
    advance(seconds * 1_000);
    await listAgain();
  }
  await reconciler.stop();
  expect((await store.findCall('c1'))?.call.status).toBe('active');
});

test('while a cancellation runs, 128 rooms are deleted at once; before and after it, as many as the setting allows', async () => {
  let gate = Promise.withResolvers<void>();
  const { reconciler, store, advance, fire, requests } = start({
    answer: async ({ method, body, read }) => {
      if (method === 'DeleteRoom') await gate.promise;
      return { kind: 'answered', value: await read(emptyMessage(body)) };
    },
  });
  const { organizationId, id: apiKeyId } = await insertApiKey(store);
  const register = async (id: string) => {
    const call = buildCall({ id, organizationId, roomName: id, createdAt: NOW, updatedAt: NOW });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
  };
  const cancel = async (callId: string) => {
    const cause = { organizationId, apiKeyId, reason: null, idempotency: null };
    await store.changeCall({ kind: 'cancel', callId, leaseMs: 1, ...cause });
  };
  const countDeletions = () => requests.filter((method) => method === 'DeleteRoom').length;
  for (let i = 0; i < 300; i += 1) await register(`stopped-${i}`);
  reconciler.start();
  fire('after 100');
  await store.createCancellation({
    cancellation: {
      id: 'can_1',
      organizationId,
      reason: 'test',
      createdBy: apiKeyId,
      selector: { all: true },
      hasHold: false,
    },
    expectedAtMost: null,
    isDryRun: false,
    idempotency: null,
  });
  reconciler.onCancellation();
  await expect.poll(countDeletions).toBe(128);
  gate.resolve();
  await expect.poll(countDeletions).toBe(300);
  const stateOf = async () => {
    fire('every 1000');
    // The last deletions are completed together after a short wait.
    fire('after 10');
    return (await store.findCancellation('can_1'))?.state;
  };
  await expect.poll(stateOf).toBe('completed');
  gate = Promise.withResolvers();
  for (let i = 0; i < 5; i += 1) {
    await register(`single-${i}`);
    await cancel(`single-${i}`);
  }
  advance(5_000);
  fire('every 5000');
  await expect.poll(countDeletions).toBe(302);
  gate.resolve();
  await reconciler.stop();
});

test('of two processes on one database, only the process with the lease lists rooms, also after it was triggered', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  const first = start({ file });
  const second = start({ file });
  for (const { reconciler, fire } of [first, second]) {
    reconciler.start();
    fire('after 100');
    await expect.poll(first.countLists).toBe(1);
  }
  await expect.poll(second.names).toContain('after 7500');
  for (const name of ['cron */15 * * * * *', 'every 1000']) {
    first.fire(name);
    second.fire(name);
  }
  await expect.poll(first.countLists).toBe(2);
  // A stop releases the lease at once.
  await first.reconciler.stop();
  expect(second.requests).toEqual([]);
  second.fire('after 500');
  await expect.poll(second.countLists).toBe(1);
  await second.reconciler.stop();
});

test('a process takes over from a dead process, and counts missing rooms from the start', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  const clock = manualClock(NOW);
  const answer: RoomServiceTransport = async ({ body, read }) => ({
    kind: 'answered',
    value: await read(emptyMessage(body)),
  });
  const dead = start({ file, clock, answer });
  const heir = start({ file, clock, answer });
  const { organizationId } = await insertApiKey(dead.store);
  const call = buildCall({
    id: 'c1',
    organizationId,
    status: 'active',
    roomId: 'RM_1',
    createdAt: 1,
    updatedAt: 1,
  });
  await dead.store.changeCall({ kind: 'register', call, apiKeyId: null });
  dead.reconciler.start();
  dead.fire('after 100');
  await expect.poll(dead.countLists).toBe(1);
  heir.reconciler.start();
  heir.fire('after 100');
  await expect.poll(heir.names).toContain('after 7500');
  expect(heir.requests).toEqual([]);
  const beatAndList = async () => {
    const before = heir.countLists();
    for (const name of ['after 500', 'after 1', 'after 2500', 'cron */15 * * * * *']) heir.fire(name);
    await expect.poll(heir.countLists).toBeGreaterThan(before);
  };
  heir.advance(7_501);
  await beatAndList();
  // The new process may have missed an outage of LiveKit: for 30 s no missing room ends a call.
  for (let i = 0; i < 3; i += 1) {
    heir.advance(9_000);
    await beatAndList();
    expect((await heir.store.findCall('c1'))?.call.status).toBe('active');
  }
  for (let i = 0; i < 3; i += 1) {
    heir.advance(7_000);
    await beatAndList();
  }
  await expect.poll(async () => (await heir.store.findCall('c1'))?.call.status).toBe('completed');
  await heir.reconciler.stop();
});

test('a process that loses its lease in the middle of a comparison sends no request of the next batch', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  const clock = manualClock(NOW);
  const gate = Promise.withResolvers<void>();
  const late = start({
    file,
    clock,
    answer: async ({ method, body, read }) => {
      if (method === 'ListParticipants') await gate.promise;
      return { kind: 'answered', value: await read(emptyMessage(body)) };
    },
  });
  const other = start({ file, clock });
  const { organizationId } = await insertApiKey(late.store);
  for (let i = 0; i < 25; i += 1) {
    const call = buildCall({
      id: `c${i}`,
      roomName: `c${i}`,
      organizationId,
      status: 'active',
      roomId: `RM_${i}`,
      createdAt: 1,
      updatedAt: 1,
    });
    await late.store.changeCall({ kind: 'register', call, apiKeyId: null });
  }
  const countRequests = () => late.requests.filter((method) => method === 'ListParticipants').length;
  late.reconciler.start();
  late.fire('after 100');
  // The first batch waits for LiveKit.
  await expect.poll(countRequests).toBe(10);
  clock.set(NOW + 7_500);
  other.reconciler.start();
  other.fire('after 100');
  await expect.poll(other.countLists).toBe(1);
  late.fire('after 7500');
  gate.resolve();
  await expect.poll(late.countRuns).toBe(1);
  expect(countRequests()).toBe(10);
  await late.reconciler.stop();
  await other.reconciler.stop();
});

test('while the calls of a cancellation are recorded, 64 rooms are deleted at once', async () => {
  const [rooms, recording] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { reconciler, store, fire, requests } = start({
    answer: async ({ method, body, read }) => {
      if (method === 'DeleteRoom') await rooms.promise;
      return { kind: 'answered', value: await read(emptyMessage(body)) };
    },
  });
  const { organizationId, id: apiKeyId } = await insertApiKey(store);
  for (let i = 0; i < 150; i += 1) {
    const id = `stopped-${i}`;
    const call = buildCall({ id, organizationId, roomName: id, createdAt: NOW, updatedAt: NOW });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
  }
  const { advanceCancellation } = store;
  let writes = 0;
  vi.spyOn(store, 'advanceCancellation').mockImplementation(async (input) => {
    writes += 1;
    if (writes > 1) await recording.promise;
    return advanceCancellation({ ...input, limit: 100, budgetMs: 60_000 });
  });
  reconciler.start();
  fire('after 100');
  const cancellation = { id: 'can_1', organizationId, reason: 'test', createdBy: apiKeyId, hasHold: false };
  await store.createCancellation({
    cancellation: { ...cancellation, selector: { all: true } },
    expectedAtMost: null,
    isDryRun: false,
    idempotency: null,
  });
  reconciler.onCancellation();
  const countDeletions = () => requests.filter((method) => method === 'DeleteRoom').length;
  await expect.poll(countDeletions).toBe(64);
  expect(writes).toBe(2);
  recording.resolve();
  await expect.poll(countDeletions).toBe(128);
  rooms.resolve();
  await expect.poll(countDeletions).toBe(150);
  await reconciler.stop();
});

/** An empty message in the encoding of the request. */
async function* emptyMessage(request: object) {
  if (!(request instanceof Uint8Array)) yield Buffer.from('{}');
}
