import { expect, test } from 'vitest';
import { withRequestMetrics } from '../../src/livekit/transport/request-metrics.ts';
import type { TwirpOutcome } from '../../src/livekit/transport/twirp.ts';
import { type Ended, instrument } from '../../src/metrics/instrument.ts';
import { prometheusMetrics } from '../../src/metrics/prometheus.ts';
import { parseMetrics } from '../harness/metrics.ts';

const census = async () => ({
  liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: 0 },
  openDeletions: { available: 0, running: 0, retryable: 0, discarded: 0 },
  oldestOpenDeletionAt: null,
});

const sources = { takeCensus: census, isLiveKitUp: null };

function startMetrics() {
  const metrics = prometheusMetrics({ clock: { now: () => 0 }, version: 'test' });
  const scrape = async (more: Partial<Parameters<typeof metrics.scrape>[0]> = {}) =>
    parseMetrics((await metrics.scrape({ ...sources, ...more })).body);
  return { metrics, scrape };
}

test('an instrumented port returns the same results as the port', async () => {
  const told: Ended<typeof port>[] = [];
  const broken = new Error('broken');
  const port = {
    add: async (a: number, b: number) => a + b,
    fail: async () => Promise.reject(broken),
  };
  const same = instrument(port, (ended) => told.push(ended));
  expect(await same.add(1, 2)).toBe(3);
  await expect(same.fail()).rejects.toBe(broken);
  expect(told).toEqual([
    { method: 'add', durationMs: expect.any(Number), result: 3 },
    { method: 'fail', durationMs: expect.any(Number), error: broken },
  ]);
});

test.each([
  { kind: 'answered', answer: 'evil' },
  { kind: 'not_found' },
  { kind: 'refused', by: 'credentials', code: 'x'.repeat(99), detail: 'evil' },
  { kind: 'unavailable', code: null, detail: 'evil' },
  { kind: 'timed_out', detail: 'evil' },
] as const)('a request is counted and timed by method and outcome: %j', async (outcome) => {
  const { metrics, scrape } = startMetrics();
  const transport = withRequestMetrics(async () => outcome as TwirpOutcome<never>, metrics);
  const request = { method: 'DeleteRoom', body: {}, grant: {}, timeoutMs: 1, priority: 'retry' } as const;
  expect(await transport({ ...request, read: async () => '' })).toBe(outcome);
  const shown = await scrape();
  const labels = { method: 'DeleteRoom', code: outcome.kind };
  expect(shown.value('hangup_livekit_requests_total', labels)).toBe(1);
  expect(shown.value('hangup_livekit_request_duration_seconds_count', { method: 'DeleteRoom' })).toBe(1);
  // LiveKit's own words are no labels.
  expect(JSON.stringify(shown.samples)).not.toMatch(/evil|xxx/);
});

test('hangup_livekit_up is absent before the first answer, then equals the state of the circuit breaker', async () => {
  const { scrape } = startMetrics();
  expect((await scrape()).has('hangup_livekit_up')).toBe(false);
  expect((await scrape({ isLiveKitUp: true })).value('hangup_livekit_up')).toBe(1);
  expect((await scrape({ isLiveKitUp: false })).value('hangup_livekit_up')).toBe(0);
  expect((await scrape()).has('hangup_livekit_up')).toBe(false);
});

test('counters are exposed and gauges of the store are absent while the store fails', async () => {
  const { metrics, scrape } = startMetrics();
  expect((await scrape()).value('hangup_calls', { status: 'active' })).toBe(0);
  const failing = await metrics.scrape({
    ...sources,
    takeCensus: () => Promise.reject(new Error('disk I/O error')),
  });
  const shown = parseMetrics(failing.body);
  expect(shown.has('hangup_calls')).toBe(false);
  expect(shown.has('hangup_room_deletions')).toBe(false);
  expect(shown.has('hangup_room_deletion_oldest_age_seconds')).toBe(false);
  expect(shown.has('hangup_calls_ended_total')).toBe(true);
  expect((await scrape()).value('hangup_calls', { status: 'active' })).toBe(0);
});

test('the age of the oldest deletion is not negative when the clock was set back', async () => {
  let now = 10_000;
  const metrics = prometheusMetrics({ clock: { now: () => now }, version: 'test' });
  const age = async () =>
    parseMetrics(
      (
        await metrics.scrape({
          ...sources,
          takeCensus: async () => ({ ...(await census()), oldestOpenDeletionAt: 4_000 }),
        })
      ).body,
    ).value('hangup_room_deletion_oldest_age_seconds');
  expect(await age()).toBe(6);
  now = 1_000;
  expect(await age()).toBe(0);
});

test('a failed pass is counted and timed, and its error is rethrown', async () => {
  const { metrics, scrape } = startMetrics();
  expect(await metrics.timeLoop('rooms', async () => 7)).toBe(7);
  await expect(metrics.timeLoop('rooms', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  const metered = await scrape();
  expect(metered.value('hangup_pass_duration_seconds_count', { pass: 'rooms' })).toBe(2);
  expect(metered.value('hangup_pass_failures_total', { pass: 'rooms' })).toBe(1);
});
