import { expect, test } from 'vitest';
import { createTrafficMeter } from '../../src/metrics/traffic.ts';
import { createDiagnosis } from '../../src/operations/health/diagnose.ts';
import { createOrganizationCounts } from '../../src/operations/health/get.ts';
import { createHistory } from '../../src/operations/health/history.ts';
import { manualClock } from '../harness/manual-clock.ts';

const own = { organizationId: 'o', liveCalls: 3, openDeletions: 2, cancelled: 5, deleted: 4, failed: 1 };

test('the history has rates for the time between two points, and nothing of another organization', async () => {
  const clock = manualClock(1_000);
  const positions: (number | null)[] = [];
  const store = {
    readActivity: async (after: number | null) => {
      positions.push(after);
      return { position: positions.length * 10, organizations: [own] };
    },
  };
  const history = createHistory({ store, clock, takeTraffic: () => ({ requests: 50, livekitMs: 1.234 }) });
  await history.record();
  clock.set(21_000);
  await history.record();
  expect(positions).toEqual([null, 10]);
  expect(history.read('o')).toEqual({
    times: [1_000, 21_000],
    series: {
      liveCalls: [3, 3],
      requestsPerSecond: [null, 2.5],
      cancelsPerMinute: [null, 15],
      deletionsPerMinute: [null, 12],
      failedDeletionsPerMinute: [null, 3],
      livekitRequestMs: [1.23, 1.23],
      openDeletions: [2, 2],
    },
  });
  expect(history.read('other').series).toMatchObject({ liveCalls: [0, 0], cancelsPerMinute: [null, 0] });
});

test('the history keeps an hour, leaves out failed reads, and reads once at a time', async () => {
  const clock = manualClock(0);
  let reads = 0;
  let read = async () => ({ position: 1, organizations: [own] });
  const store = {
    readActivity: () => {
      reads += 1;
      return read();
    },
  };
  const history = createHistory({ store, clock, takeTraffic: () => ({ requests: 0, livekitMs: null }) });
  for (let i = 0; i < 400; i += 1) {
    clock.set(i * 10_000);
    await history.record();
  }
  expect(history.read('o').times).toHaveLength(360);
  expect(history.read('o').times.at(0)).toBe(400_000);
  read = () => Promise.reject(new Error('busy'));
  await history.record();
  expect(history.read('o').times.at(-1)).toBe(3_990_000);
  reads = 0;
  await Promise.all([history.record(), history.record()]);
  expect(reads).toBe(1);
});

test('the traffic is counted from zero after each reading', () => {
  const meter = createTrafficMeter();
  const seen: number[] = [];
  const metrics = meter.observe({ livekitRequest: ({ durationMs }) => void seen.push(durationMs) });
  meter.countRequest();
  meter.countRequest();
  for (let i = 1; i <= 2_000; i += 1) metrics.livekitRequest({ method: 'm', code: 'ok', durationMs: i });
  expect(seen).toHaveLength(2_000);
  expect(meter.take()).toEqual({ requests: 2, livekitMs: 950 });
  expect(meter.take()).toEqual({ requests: 0, livekitMs: null });
});

test('the checks run once at a time, and again after a minute', async () => {
  const clock = manualClock(0);
  let runs = 0;
  const finding = { check: 'c', level: 'ok', message: 'm', advice: null } as const;
  const diagnosis = createDiagnosis({
    clock,
    diagnose: async () => {
      runs += 1;
      return [finding];
    },
  });
  await Promise.all([diagnosis(), diagnosis()]);
  clock.set(59_999);
  expect(await diagnosis()).toEqual({ findings: [finding], checkedAt: 0 });
  expect(runs).toBe(1);
  clock.set(60_000);
  expect((await diagnosis()).checkedAt).toBe(60_000);
  expect(runs).toBe(2);
});

test('checks without a result are a finding', async () => {
  const diagnose = () => Promise.reject(new Error('did not end'));
  const { findings } = await createDiagnosis({ clock: manualClock(0), diagnose })();
  expect(findings).toMatchObject([{ level: 'unknown', message: 'the checks have no result: did not end' }]);
});

test('the counts of an organization are read again after 2 s, and after a failure', async () => {
  const clock = manualClock(0);
  const read: string[] = [];
  const store = {
    countOrganization: (organizationId: string) => {
      read.push(organizationId);
      return Promise.reject(new Error('busy'));
    },
  };
  const counts = createOrganizationCounts({ store, clock });
  const key = { organizationId: 'o' } as Parameters<typeof counts>[0];
  await expect(counts(key)).rejects.toThrow('busy');
  await expect(counts(key)).rejects.toThrow('busy');
  expect(read).toEqual(['o', 'o']);
});
