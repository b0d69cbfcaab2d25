import { expect, test } from 'vitest';
import type { Asking, Rooms } from '../../src/domain/ports.ts';
import type { DeleteRoomOutcome } from '../../src/domain/room-deletion.ts';
import { type Ended, measured } from '../../src/metrics/measured.ts';
import { measuredRooms } from '../../src/metrics/measured-rooms.ts';
import { prometheusMetrics } from '../../src/metrics/prometheus.ts';
import { parseMetrics } from '../harness/metrics.ts';

const ASKING: Asking = { timeoutMs: 1, priority: 'retry' };
const census = async () => ({
  liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: 0 },
  openDeletions: { available: 0, running: 0, retryable: 0, discarded: 0 },
  oldestOpenDeletionAt: null,
});

function aMeteredLiveKit(outcome: DeleteRoomOutcome) {
  const metrics = prometheusMetrics({ clock: { now: () => 0 }, version: 'test' });
  const rooms: Rooms = {
    deleteRoom: async () => outcome,
    createRoom: async () => ({ kind: 'created' }),
    listRooms: async () => ({ kind: 'listed' }),
    findRoom: async () => ({ kind: 'absent' }),
    probeNode: async () => ({ kind: 'responding' }),
    listParticipants: async () => ({ kind: 'listed', participants: [] }),
    describeRoom: async () => ({
      kind: 'described',
      status: { roomExists: false, numParticipants: 0, participants: [] },
    }),
  };
  const scrape = async () => parseMetrics((await metrics.scrape(census)).body);
  return { metrics, rooms: measuredRooms(rooms, metrics), scrape };
}

test('the measured port does what the port does', async () => {
  const told: Ended<typeof port>[] = [];
  const broken = new Error('broken');
  const port = {
    add: async (a: number, b: number) => a + b,
    fail: async () => Promise.reject(broken),
  };
  const same = measured(port, (ended) => told.push(ended));
  expect(await same.add(1, 2)).toBe(3);
  await expect(same.fail()).rejects.toBe(broken);
  expect(told).toEqual([
    { method: 'add', durationMs: expect.any(Number), result: 3 },
    { method: 'fail', durationMs: expect.any(Number), error: broken },
  ]);
});

test.each([
  [{ kind: 'deleted' }, 1],
  [{ kind: 'absent' }, 1],
  [{ kind: 'refused', by: 'credentials', code: 'x'.repeat(99), detail: 'evil' }, 1],
  [{ kind: 'unavailable', code: null, detail: 'evil' }, 0],
  [{ kind: 'timed_out', detail: 'evil' }, 0],
] as const)('%j: LiveKit counts as up: %i', async (outcome, up) => {
  const { rooms, scrape, metrics } = aMeteredLiveKit(outcome);
  expect((await scrape()).has('hangup_livekit_up')).toBe(false);
  expect(metrics.doesLivekitAnswer()).toBeNull();
  expect(await rooms.deleteRoom('r', ASKING)).toBe(outcome);
  const metered = await scrape();
  expect(metered.value('hangup_livekit_requests_total', { method: 'deleteRoom', code: outcome.kind })).toBe(
    1,
  );
  expect(metered.value('hangup_livekit_up')).toBe(up);
  expect(metrics.doesLivekitAnswer()).toBe(up === 1);
  // LiveKit's own words are no labels.
  expect(JSON.stringify(metered.samples)).not.toMatch(/evil|xxx/);
});

test("LiveKit's own error is an answer, and so is what it has", async () => {
  const outcome = { kind: 'unavailable', code: 'unavailable', detail: 'no response from servers' } as const;
  const { rooms, scrape } = aMeteredLiveKit(outcome);
  await rooms.deleteRoom('r', ASKING);
  expect((await scrape()).value('hangup_livekit_up')).toBe(1);
  expect(await rooms.findRoom('r', ASKING)).toEqual({ kind: 'absent' });
  const labels = { method: 'findRoom', code: 'absent' };
  expect((await scrape()).value('hangup_livekit_requests_total', labels)).toBe(1);
});

test('while the store fails, what was counted is shown, and no number of the store that may be old', async () => {
  const { metrics, scrape } = aMeteredLiveKit({ kind: 'deleted' });
  expect((await scrape()).value('hangup_calls', { status: 'active' })).toBe(0);
  const failing = await metrics.scrape(() => Promise.reject(new Error('disk I/O error')));
  const shown = parseMetrics(failing.body);
  expect(shown.has('hangup_calls')).toBe(false);
  expect(shown.has('hangup_room_deletions')).toBe(false);
  expect(shown.has('hangup_room_deletion_oldest_age_seconds')).toBe(false);
  expect(shown.has('hangup_calls_ended_total')).toBe(true);
  expect((await scrape()).value('hangup_calls', { status: 'active' })).toBe(0);
});

test('the age of the oldest deletion, also by a clock that was set back', async () => {
  let now = 10_000;
  const metrics = prometheusMetrics({ clock: { now: () => now }, version: 'test' });
  const age = async () =>
    parseMetrics(
      (await metrics.scrape(async () => ({ ...(await census()), oldestOpenDeletionAt: 4_000 }))).body,
    ).value('hangup_room_deletion_oldest_age_seconds');
  expect(await age()).toBe(6);
  now = 1_000;
  expect(await age()).toBe(0);
});

test('a pass that fails is counted and timed, and fails all the same', async () => {
  const { metrics, scrape } = aMeteredLiveKit({ kind: 'deleted' });
  expect(await metrics.timePass('rooms', async () => 7)).toBe(7);
  await expect(metrics.timePass('rooms', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  const metered = await scrape();
  expect(metered.value('hangup_pass_duration_seconds_count', { pass: 'rooms' })).toBe(2);
  expect(metered.value('hangup_pass_failures_total', { pass: 'rooms' })).toBe(1);
});
