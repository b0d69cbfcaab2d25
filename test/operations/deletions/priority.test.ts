import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { SCOPES } from '../../../src/domain/api-key.ts';
import { createRoomService } from '../../../src/livekit/room-service.ts';
import { rateLimit } from '../../../src/livekit/transport/rate-limit.ts';
import type { RoomServiceTransport } from '../../../src/livekit/transport/twirp.ts';
import { prometheusMetrics } from '../../../src/metrics/prometheus.ts';
import { createApiKey } from '../../../src/operations/api-keys/create.ts';
import { deleteRoom } from '../../../src/operations/deletions/delete-room.ts';
import { claimDueDeletions } from '../../../src/operations/deletions/due-deletions.ts';
import type { Dependencies } from '../../../src/operations/dependencies.ts';
import { systemClock, systemRandom } from '../../../src/platform/clock.ts';
import { parseSettings } from '../../../src/platform/config.ts';
import { openSqliteStore } from '../../../src/store/sqlite/sqlite-store.ts';
import { buildCall } from '../../harness/calls.ts';
import { temporaryFolder } from '../../harness/temporary.ts';

/** A cancelled call whose first attempt lost its lease, and a LiveKit that accepts one request per second. */
async function start() {
  // The second of the rate limit must not end while the test queues its requests.
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const store = openSqliteStore(join(temporaryFolder(), 'hangup.db'), { clock: systemClock });
  onTestFinished(() => store.close());
  const { apiKey } = await createApiKey(
    { store, clock: systemClock, random: systemRandom },
    { organizationName: 'acme', name: 'test', scopes: SCOPES, expiresAt: null },
  );
  const { organizationId } = apiKey;
  const call = buildCall({ id: 'c1', organizationId, status: 'active' });
  await store.changeCall({ kind: 'register', call, apiKeyId: null });
  await store.changeCall({
    kind: 'cancel',
    callId: 'c1',
    organizationId,
    apiKeyId: apiKey.id,
    reason: null,
    leaseMs: 0,
    idempotency: null,
  });
  const sent: string[] = [];
  const livekit: RoomServiceTransport = async ({ method, priority, body, read }) => {
    sent.push(`${method} (${priority})`);
    return { kind: 'answered', value: await read(emptyBody(body)) };
  };
  const shutdown = new AbortController();
  onTestFinished(() => shutdown.abort());
  const { transport } = rateLimit(livekit, {
    requestsPerMinute: 60,
    onQueueLength: () => {},
    shutdown: shutdown.signal,
  });
  const rooms = createRoomService(transport);
  const settings = parseSettings({}, 'cli');
  const dependencies: Dependencies = {
    ...settings.operations,
    store,
    rooms,
    clock: systemClock,
    random: systemRandom,
    metrics: prometheusMetrics({ clock: systemClock, version: 'test' }),
    log: { info: () => {}, warn: () => {}, error: () => {} },
    onCancellation: () => {},
    nudge: () => {},
  };
  return { dependencies, sent };
}

/** An empty message in the encoding of the request. */
async function* emptyBody(request: object) {
  if (!(request instanceof Uint8Array)) yield Buffer.from('{}');
}

/** Queues a read, then the next attempt of the deletion. Returns the first `count` requests in the order of sending. */
async function readThenRetry({ dependencies, sent }: Awaited<ReturnType<typeof start>>, count: number) {
  const options = { timeoutMs: 30_000, priority: 'deletion' } as const;
  // Uses up the current second.
  await dependencies.rooms.findRoom('any', { timeoutMs: 1_000, priority: 'phones' });
  void dependencies.rooms.describeRoom('other', { ...options, priority: 'read' });
  const [deletion] = await claimDueDeletions(dependencies, { limit: 1 });
  if (deletion === undefined) throw new Error('the deletion is not due');
  expect(deletion.attempt).toBe(2);
  void deleteRoom(dependencies, deletion, options);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(sent.length).toBeGreaterThan(count);
  return sent.slice(1, count + 1);
}

test("a retried deletion of a cancelled call's room is sent before a queued read", async () => {
  expect(await readThenRetry(await start(), 2)).toEqual(['DeleteRoom (cancel)', 'ListParticipants (read)']);
});

test('the deletion of a call that was not cancelled is sent after a queued read', async () => {
  const { dependencies, sent } = await start();
  const { store } = dependencies;
  const record = await store.findCall('c1');
  if (record === null) throw new Error('call not found: c1');
  const call = { ...record.call, status: 'completed' as const };
  const ofCompletedCall = {
    ...dependencies,
    store: { ...store, findDeletionSubject: async () => ({ call, isAdoptable: false }) },
  };
  expect(await readThenRetry({ dependencies: ofCompletedCall, sent }, 3)).toEqual([
    'ListParticipants (read)',
    'ListRooms (read)',
    'ListParticipants (deletion)',
  ]);
});

test("the deletion of a cancellation's room is sent after a queued single cancel, and before a queued read", async () => {
  const { dependencies, sent } = await start();
  const { rooms } = dependencies;
  const options = { timeoutMs: 30_000 } as const;
  // Uses up the current second.
  await rooms.findRoom('any', { timeoutMs: 1_000, priority: 'phones' });
  void rooms.describeRoom('other', { ...options, priority: 'read' });
  const [deletion] = await claimDueDeletions(dependencies, { limit: 1 });
  if (deletion === undefined) throw new Error('the deletion is not due');
  const ofCancellation = { ...deletion, cancellationId: 'can_1' };
  const ended = deleteRoom(dependencies, ofCancellation, { ...options, priority: 'deletion' });
  await vi.advanceTimersByTimeAsync(100);
  void rooms.deleteRoom('single', { ...options, priority: 'cancel', isStillWanted: async () => true });
  await vi.advanceTimersByTimeAsync(15_000);
  await ended;
  expect(sent.slice(1, 4)).toEqual([
    'DeleteRoom (cancel)',
    'DeleteRoom (cancellation)',
    'ListParticipants (read)',
  ]);
});
