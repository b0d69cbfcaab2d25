import { describe, expect, onTestFinished, test } from 'vitest';
import { createRoomService } from '../../../src/livekit/room-service.ts';
import { rateLimit } from '../../../src/livekit/transport/rate-limit.ts';
import { httpTransport, type RoomServiceTransport } from '../../../src/livekit/transport/twirp.ts';
import type { RequestOptions } from '../../../src/ports/livekit.ts';
import { startEmulated } from '../../harness/livekit.ts';

async function start(requestsPerMinute: number) {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const waiting: number[] = [];
  const sent: string[] = [];
  const http = httpTransport(livekit);
  const counted: RoomServiceTransport = (request) => {
    sent.push(request.method);
    return http(request);
  };
  const onQueueLength = (length: number) => waiting.push(length);
  const rooms = createRoomService(rateLimit(counted, { requestsPerMinute, onQueueLength }));
  return { emulator: livekit.emulator, rooms, waiting, sent };
}

const options = (priority: RequestOptions['priority'], timeoutMs = 20_000): RequestOptions => ({
  timeoutMs,
  priority,
});

test('waiting requests are sent by priority, not in the order of their arrival', async () => {
  const { emulator, rooms, waiting } = await start(60);
  for (const name of ['first', 'second', 'third']) emulator.join(name, { identity: 'caller' });
  const order: string[] = [];
  const record = (name: string, request: Promise<unknown>) => request.then(() => order.push(name));
  await Promise.all([
    // The limit allows one request per second.
    record(
      'not queued',
      rooms.listRooms(async () => {}, options('reconcile')),
    ),
    record(
      'reconcile',
      rooms.listRooms(async () => {}, options('reconcile')),
    ),
    record('phones', rooms.listParticipants('third', options('phones'))),
    record('deletion', rooms.deleteRoom('second', options('deletion'))),
    record('cancel', rooms.deleteRoom('first', options('cancel'))),
  ]);
  expect(order).toEqual(['not queued', 'cancel', 'deletion', 'phones', 'reconcile']);
  expect(Math.max(...waiting)).toBe(4);
  expect(waiting.at(-1)).toBe(0);
});

test('requests are sent no faster than the rate limit', async () => {
  const { rooms } = await start(600);
  const times: number[] = [];
  await Promise.all(
    Array.from({ length: 25 }, async () => {
      await rooms.listRooms(async () => {}, options('reconcile'));
      times.push(performance.now());
    }),
  );
  const first = times[0] ?? 0;
  // At ten a second, the last five are in the third second.
  expect(times.filter((time) => time - first < 900).length).toBeLessThanOrEqual(10);
  expect((times.at(-1) ?? 0) - first).toBeGreaterThan(1_800);
});

test('a request times out at its deadline while it waits, and is not sent later', async () => {
  const { emulator, rooms } = await start(1);
  emulator.join('r', { identity: 'caller' });
  await rooms.listRooms(async () => {}, options('reconcile'));
  expect(await rooms.deleteRoom('r', options('cancel', 100))).toEqual({
    kind: 'timed_out',
    detail: 'timed out waiting for the rate limit of LiveKit',
  });
  expect(emulator.roomNames()).toEqual(['r']);
});

test('each request of describeRoom counts in the rate limit', async () => {
  const { emulator, rooms, sent } = await start(1);
  emulator.join('r', { identity: 'caller' });
  // The list of participants is empty, so the list of rooms is requested too.
  expect(await rooms.describeRoom('absent', options('read', 500))).toMatchObject({
    kind: 'timed_out',
    detail: 'timed out waiting for the rate limit of LiveKit',
  });
  expect(sent).toEqual(['ListParticipants']);
});

describe('after a 429', () => {
  test('all requests wait as long as the Retry-After requires', async () => {
    const { emulator, rooms } = await start(0);
    emulator.join('r', { identity: 'caller' });
    emulator.setFault('ListRooms', { kind: 'status429', retryAfterS: 1 });
    const beganAt = performance.now();
    expect(await rooms.listRooms(async () => {}, options('reconcile'))).toMatchObject({
      kind: 'rate_limited',
      retryAfterMs: 1_000,
    });
    expect(await rooms.deleteRoom('r', options('cancel', 100))).toMatchObject({ kind: 'timed_out' });
    expect(await rooms.deleteRoom('r', options('cancel'))).toEqual({ kind: 'deleted' });
    expect(performance.now() - beganAt).toBeGreaterThanOrEqual(990);
  });
});

test('a deletion that waited is not sent when a newer call uses the room name', async () => {
  const { emulator, rooms } = await start(60);
  for (const name of ['wanted', 'unwanted']) emulator.join(name, { identity: 'caller' });
  await rooms.listRooms(async () => {}, options('reconcile'));
  const deletion = (isWanted: boolean) => ({ ...options('deletion'), isStillWanted: async () => isWanted });
  const outcomes = await Promise.all([
    rooms.deleteRoom('unwanted', deletion(false)),
    rooms.deleteRoom('wanted', deletion(true)),
  ]);
  expect(outcomes).toEqual([{ kind: 'absent' }, { kind: 'deleted' }]);
  expect(emulator.roomNames()).toEqual(['unwanted']);
});
