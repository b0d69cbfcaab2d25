import { expect, test } from 'vitest';
import { withRequestMetrics } from '../../src/livekit/transport/request-metrics.ts';
import type { TwirpOutcome } from '../../src/livekit/transport/twirp.ts';
import { type FinishedCall, instrument } from '../../src/metrics/instrument.ts';
import { prometheusMetrics } from '../../src/metrics/prometheus.ts';
import { countsWith, NO_CANCELLATIONS } from '../doctor/facts.ts';
import { parseMetrics } from '../harness/metrics.ts';

const countLive = async () => countsWith(0);

const sources = { countLive, isLiveKitUp: null };

function startMetrics() {
  const metrics = prometheusMetrics({ clock: { now: () => 0 }, version: 'test' });
  const scrape = async (more: Partial<Parameters<typeof metrics.scrape>[0]> = {}) =>
    parseMetrics((await metrics.scrape({ ...sources, ...more })).body);
  return { metrics, scrape };
}

test('an instrumented port returns the same results and reports each call', async () => {
  const finished: FinishedCall<typeof port>[] = [];
  const broken = new Error('broken');
  const port = {
    add: async (a: number, b: number) => a + b,
    fail: async () => Promise.reject(broken),
  };
  const instrumented = instrument(port, (call) => finished.push(call));
  expect(await instrumented.add(1, 2)).toBe(3);
  await expect(instrumented.fail()).rejects.toBe(broken);
  expect(finished).toEqual([
    { method: 'add', durationMs: expect.any(Number), result: 3 },
    { method: 'fail', durationMs: expect.any(Number), error: broken },
  ]);
});

test.each([
  { kind: 'answered', value: 'evil' },
  { kind: 'not_found' },
  { kind: 'refused', reason: 'credentials', code: 'x'.repeat(99), detail: 'evil' },
  { kind: 'unavailable', code: null, detail: 'evil' },
  { kind: 'timed_out', detail: 'evil' },
] as const)('request metrics have the method and the outcome as labels: %j', async (outcome) => {
  const { metrics, scrape } = startMetrics();
  const transport = withRequestMetrics(async () => outcome as TwirpOutcome<never>, metrics);
  const request = { method: 'DeleteRoom', body: {}, grant: {}, timeoutMs: 1, priority: 'deletion' } as const;
  expect(await transport({ ...request, read: async () => '' })).toBe(outcome);
  const scraped = await scrape();
  const labels = { method: 'DeleteRoom', code: outcome.kind };
  expect(scraped.value('hangup_livekit_requests_total', labels)).toBe(1);
  expect(scraped.value('hangup_livekit_request_duration_seconds_count', { method: 'DeleteRoom' })).toBe(1);
  // Texts from LiveKit must not become labels.
  expect(JSON.stringify(scraped.samples)).not.toMatch(/evil|xxx/);
});

test('hangup_livekit_up is absent before the first response, then follows the circuit breaker', async () => {
  const { scrape } = startMetrics();
  expect((await scrape()).has('hangup_livekit_up')).toBe(false);
  expect((await scrape({ isLiveKitUp: true })).value('hangup_livekit_up')).toBe(1);
  expect((await scrape({ isLiveKitUp: false })).value('hangup_livekit_up')).toBe(0);
  expect((await scrape()).has('hangup_livekit_up')).toBe(false);
});

test('a scrape keeps counters and omits gauges of the store when the store fails', async () => {
  const { metrics, scrape } = startMetrics();
  expect((await scrape()).value('hangup_calls', { status: 'active' })).toBe(0);
  const failing = await metrics.scrape({
    ...sources,
    countLive: () => Promise.reject(new Error('disk I/O error')),
  });
  const scraped = parseMetrics(failing.body);
  expect(scraped.has('hangup_calls')).toBe(false);
  expect(scraped.has('hangup_room_deletions')).toBe(false);
  expect(scraped.has('hangup_room_deletion_oldest_age_seconds')).toBe(false);
  for (const name of OF_CANCELLATIONS) expect(scraped.has(name)).toBe(false);
  expect(scraped.has('hangup_calls_ended_total')).toBe(true);
  expect((await scrape()).value('hangup_calls', { status: 'active' })).toBe(0);
});

test('the age of the oldest deletion is 0 when the clock was set back', async () => {
  let now = 10_000;
  const metrics = prometheusMetrics({ clock: { now: () => now }, version: 'test' });
  const age = async () =>
    parseMetrics(
      (
        await metrics.scrape({
          ...sources,
          countLive: async () => ({ ...(await countLive()), oldestOpenDeletionAt: 4_000 }),
        })
      ).body,
    ).value('hangup_room_deletion_oldest_age_seconds');
  expect(await age()).toBe(6);
  now = 1_000;
  expect(await age()).toBe(0);
});

const OF_CANCELLATIONS = [
  'hangup_cancellations_running',
  'hangup_cancellation_oldest_age_seconds',
  'hangup_cancellation_rooms',
  'hangup_holds_active',
];

test('a scrape has the running cancellations, their rooms by state and age, and the active holds', async () => {
  const metrics = prometheusMetrics({ clock: { now: () => 90_000 }, version: 'test' });
  const scrape = async (cancellations: typeof NO_CANCELLATIONS) => {
    const counts = async () => ({ ...(await countLive()), cancellations });
    return parseMetrics((await metrics.scrape({ ...sources, countLive: counts })).body);
  };
  const none = await scrape(NO_CANCELLATIONS);
  expect(OF_CANCELLATIONS.map((name) => none.sum(name))).toEqual([0, 0, 0, 0]);
  const scraped = await scrape({
    running: 2,
    oldestRunningAt: 15_000,
    activeHolds: 3,
    rooms: {
      pending: { under_1m: 4, '1m_to_10m': 5, over_10m: 6 },
      discarded: { under_1m: 7, '1m_to_10m': 8, over_10m: 9 },
    },
  });
  expect(scraped.value('hangup_cancellations_running')).toBe(2);
  expect(scraped.value('hangup_cancellation_oldest_age_seconds')).toBe(75);
  expect(scraped.value('hangup_holds_active')).toBe(3);
  const rooms = scraped.samples.filter(({ name }) => name === 'hangup_cancellation_rooms');
  expect(rooms.map(({ labels: { state, age }, value }) => [state, age, value])).toEqual([
    ['pending', 'under_1m', 4],
    ['pending', '1m_to_10m', 5],
    ['pending', 'over_10m', 6],
    ['discarded', 'under_1m', 7],
    ['discarded', '1m_to_10m', 8],
    ['discarded', 'over_10m', 9],
  ]);
});

test('a failed loop run is counted and timed, and throws its error', async () => {
  const { metrics, scrape } = startMetrics();
  expect(await metrics.timeLoop('rooms', async () => 7)).toBe(7);
  await expect(metrics.timeLoop('rooms', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  const metered = await scrape();
  expect(metered.value('hangup_reconcile_duration_seconds_count', { loop: 'rooms' })).toBe(2);
  expect(metered.value('hangup_reconcile_errors_total', { loop: 'rooms' })).toBe(1);
});
