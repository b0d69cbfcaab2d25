import { describe, expect, onTestFinished, test } from 'vitest';
import { createRoomService } from '../../../src/livekit/room-service.ts';
import { rateLimit } from '../../../src/livekit/transport/rate-limit.ts';
import { httpTransport, type RoomServiceTransport } from '../../../src/livekit/transport/twirp.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { RequestOptions } from '../../../src/ports/livekit.ts';
import { startEmulated } from '../../harness/livekit.ts';

async function start(requestsPerMinute: number) {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const waiting: number[] = [];
  const sent: string[] = [];
  const http = httpTransport(livekit, { clock: systemClock });
  const counted: RoomServiceTransport = (request) => {
    sent.push(request.method);
    return http(request);
  };
  const onQueueLength = (length: number) => waiting.push(length);
  const { transport, setPart } = rateLimit(counted, { requestsPerMinute, onQueueLength });
  const rooms = createRoomService(transport);
  return { emulator: livekit.emulator, rooms, waiting, sent, setPart };
}

const optionsFor = (priority: RequestOptions['priority'], timeoutMs = 20_000): RequestOptions => ({
  timeoutMs,
  priority,
});

test('waiting requests are sent by priority, whatever their waiting time', async () => {
  const { emulator, rooms, waiting } = await start(60);
  for (const name of ['first', 'second', 'third']) emulator.join(name, { identity: 'caller' });
  const order: string[] = [];
  const recordOrder = (name: string, requested: Promise<unknown>) => requested.then(() => order.push(name));
  await Promise.all([
    // The rate limit allows one request at once. The others wait for the next second.
    recordOrder(
      'the first request',
      rooms.listRooms(async () => {}, optionsFor('reconcile')),
    ),
    recordOrder(
      'comparison',
      rooms.listRooms(async () => {}, optionsFor('reconcile')),
    ),
    recordOrder('phones', rooms.listParticipants('third', optionsFor('phones'))),
    recordOrder('retry', rooms.deleteRoom('second', optionsFor('deletion'))),
    recordOrder('cancel', rooms.deleteRoom('first', optionsFor('cancel'))),
  ]);
  expect(order).toEqual(['the first request', 'cancel', 'retry', 'phones', 'comparison']);
  expect(Math.max(...waiting)).toBe(4);
  expect(waiting.at(-1)).toBe(0);
});

test('no more requests are sent than the rate limit allows', async () => {
  const { rooms } = await start(600);
  const times: number[] = [];
  const beganAt = performance.now();
  await Promise.all(
    Array.from({ length: 25 }, async () => {
      await rooms.listRooms(async () => {}, optionsFor('reconcile'));
      times.push(performance.now());
    }),
  );
  // Ten requests a second: the last five are in the third second.
  expect(times.filter((time) => time - beganAt < 900).length).toBeLessThanOrEqual(10);
  expect((times.at(-1) ?? 0) - beganAt).toBeGreaterThan(1_800);
});

test('a process sends nothing without a part of the rate limit, and its waiting requests when it gets a part', async () => {
  const { rooms, sent, setPart } = await start(600);
  setPart(0);
  const listed = Array.from({ length: 12 }, () => rooms.listRooms(async () => {}, optionsFor('reconcile')));
  expect(await rooms.listRooms(async () => {}, optionsFor('reconcile', 50))).toMatchObject({
    kind: 'timed_out',
  });
  expect(sent).toEqual([]);
  setPart(0.5);
  await Promise.all(listed);
  expect(sent).toHaveLength(12);
});

test('a request waits until its deadline and is not sent afterwards', async () => {
  const { emulator, rooms } = await start(1);
  emulator.join('r', { identity: 'caller' });
  await rooms.listRooms(async () => {}, optionsFor('reconcile'));
  expect(await rooms.deleteRoom('r', optionsFor('cancel', 100))).toEqual({
    kind: 'timed_out',
    detail: 'timed out waiting for the rate limit of LiveKit',
  });
  expect(emulator.roomNames()).toEqual(['r']);
});

test('each request of describeRoom takes its own slot of the rate limit', async () => {
  const { emulator, rooms, sent } = await start(1);
  emulator.join('r', { identity: 'caller' });
  // After an empty list of participants, describeRoom requests the list of rooms.
  expect(await rooms.describeRoom('absent', optionsFor('read', 500))).toMatchObject({
    kind: 'timed_out',
    detail: 'timed out waiting for the rate limit of LiveKit',
  });
  expect(sent).toEqual(['ListParticipants']);
});

describe('after a 429 of LiveKit', () => {
  test('every request waits for Retry-After', async () => {
    const { emulator, rooms } = await start(0);
    emulator.join('r', { identity: 'caller' });
    emulator.setFault('ListRooms', { kind: 'status429', retryAfterS: 1 });
    const beganAt = performance.now();
    expect(await rooms.listRooms(async () => {}, optionsFor('reconcile'))).toMatchObject({
      kind: 'rate_limited',
      retryAfterMs: 1_000,
    });
    expect(await rooms.deleteRoom('r', optionsFor('cancel', 100))).toMatchObject({ kind: 'timed_out' });
    expect(await rooms.deleteRoom('r', optionsFor('cancel'))).toEqual({ kind: 'deleted' });
    expect(performance.now() - beganAt).toBeGreaterThanOrEqual(990);
  });
});

test('a waiting deletion is not sent when a newer call is in the room', async () => {
  const { emulator, rooms } = await start(60);
  for (const name of ['wanted', 'unwanted']) emulator.join(name, { identity: 'caller' });
  await rooms.listRooms(async () => {}, optionsFor('reconcile'));
  const deletion = (isWanted: boolean) => ({
    ...optionsFor('deletion'),
    isStillWanted: async () => isWanted,
  });
  const outcomes = await Promise.all([
    rooms.deleteRoom('unwanted', deletion(false)),
    rooms.deleteRoom('wanted', deletion(true)),
  ]);
  expect(outcomes).toEqual([{ kind: 'absent' }, { kind: 'deleted' }]);
  expect(emulator.roomNames()).toEqual(['unwanted']);
});
