import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createRoomService } from '../../src/livekit/room-service.ts';
import type { RoomServiceTransport } from '../../src/livekit/transport/twirp.ts';
import { prometheusMetrics } from '../../src/metrics/prometheus.ts';
import { systemRandom } from '../../src/platform/clock.ts';
import { parseSettings } from '../../src/platform/config.ts';
import { createReconciler } from '../../src/reconciler/reconciler.ts';
import type { Scheduler } from '../../src/reconciler/scheduler.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const NOW = 1_000_000;

/** Returns a scheduler. The test starts a run by the name of the schedule, such as `every 5000`. */
function manualScheduler() {
  const schedules = new Set<{ readonly name: string; readonly run: () => void }>();
  const add = (name: string, run: () => void) => {
    const schedule = { name, run };
    schedules.add(schedule);
    return () => void schedules.delete(schedule);
  };
  const scheduler: Scheduler = {
    cron: (expression, run) => add(`cron ${expression}`, run),
    every: (intervalMs, run) => add(`every ${intervalMs}`, run),
    after(delayMs, run) {
      const cancel = add(`after ${delayMs}`, () => {
        cancel();
        run();
      });
      return cancel;
    },
  };
  return {
    scheduler,
    names: () => [...schedules].map(({ name }) => name),
    fire(name: string) {
      for (const schedule of [...schedules]) if (schedule.name === name) schedule.run();
    },
  };
}

function start({ answer }: { answer?: RoomServiceTransport } = {}) {
  let now = NOW;
  const clock = { now: () => now };
  const store = openSqliteStore(join(temporaryFolder(), 'hangup.db'), { clock });
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
  const reconciler = createReconciler(
    {
      ...settings.operations,
      store,
      rooms: createRoomService(livekit),
      clock,
      random: systemRandom,
      metrics: prometheusMetrics({ clock, version: 'test' }),
      log: { info: () => {}, warn: () => {}, error: () => {} },
    },
    { concurrency: 2, reconcileSchedule: '*/15 * * * * *', openSince: () => openSince, scheduler },
  );
  return {
    reconciler,
    store,
    advance: (ms: number) => {
      now += ms;
    },
    names,
    fire,
    requests,
    setOpenSince: (at: number | null) => {
      openSince = at;
    },
  };
}

const SCHEDULES = [
  'every 1000',
  'every 5000',
  'every 5000',
  'every 1000',
  'cron */15 * * * * *',
  'every 60000',
  'after 60000',
  'every 3600000',
];

test('the loops start after a short delay: one by the cron schedule, the others at fixed intervals', async () => {
  const { reconciler, names, fire, requests } = start();
  reconciler.start();
  expect(names()).toEqual(['after 100']);
  fire('after 100');
  expect(names()).toEqual(SCHEDULES);
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
  const { reconciler, fire, requests, setOpenSince } = start();
  reconciler.start();
  setOpenSince(NOW);
  reconciler.onLiveKitUnreachable();
  fire('after 100');
  await expect.poll(() => requests).toEqual(['ListRooms']);
  for (const name of ['every 1000', 'cron */15 * * * * *', 'every 5000']) fire(name);
  await expect.poll(() => requests).toEqual(['ListRooms', 'ListRooms']);
  setOpenSince(null);
  reconciler.onLiveKitRecovered(5_000);
  await reconciler.stop();
  expect(requests).toEqual(['ListRooms', 'ListRooms', 'ListRooms']);
});

test('a list that spans an outage does not shorten the time in which clients reconnect', async () => {
  const gate = Promise.withResolvers<void>();
  const { reconciler, store, advance, fire, requests, setOpenSince } = start({
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
  const countLists = () => requests.filter((method) => method === 'ListRooms').length;
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

/** An empty message in the encoding of the request. */
async function* emptyMessage(request: object) {
  if (!(request instanceof Uint8Array)) yield Buffer.from('{}');
}
