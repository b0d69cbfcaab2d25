import { expect, test } from 'vitest';
import { createRoomService } from '../../../src/livekit/room-service.ts';
import { circuitBreaker } from '../../../src/livekit/transport/circuit-breaker.ts';
import { readResponse, type TwirpOutcome, type TwirpRequest } from '../../../src/livekit/transport/twirp.ts';

const OPTIONS = { timeoutMs: 1_000, priority: 'deletion' } as const;
const UNREACHABLE = { kind: 'unavailable', code: null, detail: 'the connection failed' } as const;

/** Returns a breaker around a transport with these responses in sequence; null fails the connection. */
function start(...bodies: readonly (string | null)[]) {
  const remaining = [...bodies];
  const logged: string[] = [];
  const events: string[] = [];
  let now = 1_000;
  const log = (_: object, message: string) => logged.push(message);
  const breaker = circuitBreaker(
    async <Value>(request: TwirpRequest<Value>): Promise<TwirpOutcome<Value>> => {
      now += 100;
      const body = remaining.shift() ?? null;
      if (body === null) return UNREACHABLE;
      const type = request.body instanceof Uint8Array ? 'application/protobuf' : 'application/json';
      const head = { status: 200, headers: { 'content-type': type } };
      try {
        return await readResponse(head, bytesOf(body), request);
      } catch (error) {
        return { ...UNREACHABLE, detail: String(error) };
      }
    },
    {
      clock: { now: () => now },
      log: { info: log, warn: log, error: log },
      onOpened: () => events.push('opened'),
      onRecovered: (downMs) => events.push(`recovered after ${downMs} ms`),
    },
  );
  return { breaker, rooms: createRoomService(breaker.transport), logged, events };
}

async function* bytesOf(body: string) {
  yield Buffer.from(body);
}

test('the outage is logged once, and the recovery is reported with the length of the outage', async () => {
  const { breaker, rooms, logged, events } = start(null, null, null, null, null, null, '{}');
  for (let i = 0; i < 4; i += 1) await rooms.deleteRoom('r', OPTIONS);
  expect(breaker.openSince()).toBeNull();
  for (let i = 0; i < 2; i += 1) await rooms.deleteRoom('r', OPTIONS);
  expect(breaker.openSince()).toBe(1_100);
  expect(breaker.isUp()).toBe(false);
  expect(logged).toEqual(['LiveKit is unreachable; room deletions are queued until it recovers']);
  expect(events).toEqual(['opened']);
  await rooms.deleteRoom('r', OPTIONS);
  expect(events).toEqual(['opened', 'recovered after 600 ms']);
  expect(breaker.openSince()).toBeNull();
  expect(breaker.isUp()).toBe(true);
});

test('both requests of describeRoom count for the circuit breaker', async () => {
  const { breaker, rooms } = start('', null, '', null, null, null, null, null);
  // After an empty list of participants, describeRoom requests the list of rooms.
  for (let i = 0; i < 2; i += 1) await rooms.describeRoom('r', OPTIONS);
  expect(breaker.isUp()).toBe(true);
  for (let i = 0; i < 4; i += 1) await rooms.describeRoom('r', OPTIONS);
  expect(breaker.isUp()).toBe(false);
});

test('a response of another server counts as no response', async () => {
  const wrong = '<html>';
  const { breaker, rooms } = start(wrong, wrong, wrong, wrong, wrong);
  for (let i = 0; i < 5; i += 1) {
    expect(await rooms.listParticipants('r', OPTIONS)).toMatchObject({ kind: 'unavailable', code: null });
  }
  expect(breaker.isUp()).toBe(false);
});
