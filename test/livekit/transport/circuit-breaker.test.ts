import { expect, test } from 'vitest';
import { createRoomService } from '../../../src/livekit/room-service.ts';
import { circuitBreaker } from '../../../src/livekit/transport/circuit-breaker.ts';
import { readAnswer, type TwirpOutcome, type TwirpRequest } from '../../../src/livekit/transport/twirp.ts';

const ASKING = { timeoutMs: 1_000, priority: 'retry' } as const;
const UNREACHABLE = { kind: 'unavailable', code: null, detail: 'the connection failed' } as const;

/** A breaker around a LiveKit that gives one answer after the other. */
function start(...bodies: readonly (string | null)[]) {
  const left = [...bodies];
  const logged: string[] = [];
  const recovered: number[] = [];
  let now = 1_000;
  const log = (_: object, message: string) => logged.push(message);
  const breaker = circuitBreaker(
    async <Answer>(request: TwirpRequest<Answer>): Promise<TwirpOutcome<Answer>> => {
      now += 100;
      const body = left.shift() ?? null;
      if (body === null) return UNREACHABLE;
      const type = request.body instanceof Uint8Array ? 'application/protobuf' : 'application/json';
      const head = { status: 200, headers: { 'content-type': type } };
      try {
        return await readAnswer(head, bytesOf(body), request);
      } catch (error) {
        return { ...UNREACHABLE, detail: String(error) };
      }
    },
    {
      clock: { now: () => now },
      log: { info: log, warn: log, error: log },
      onRecovered: (downMs) => recovered.push(downMs),
    },
  );
  return { breaker, rooms: createRoomService(breaker.transport), logged, recovered };
}

async function* bytesOf(body: string) {
  yield Buffer.from(body);
}

test('the outage is logged once, and the recovery is reported with the length of the outage', async () => {
  const { breaker, rooms, logged, recovered } = start(null, null, null, null, null, null, '{}');
  for (let i = 0; i < 4; i += 1) await rooms.deleteRoom('r', ASKING);
  expect(breaker.openSince()).toBeNull();
  for (let i = 0; i < 2; i += 1) await rooms.deleteRoom('r', ASKING);
  expect(breaker.openSince()).toBe(1_100);
  expect(breaker.isUp()).toBe(false);
  expect(logged).toEqual([
    'LiveKit is away: cancels are kept, and their rooms deleted when it answers again',
  ]);
  expect(recovered).toEqual([]);
  await rooms.deleteRoom('r', ASKING);
  expect(recovered).toEqual([600]);
  expect(breaker.openSince()).toBeNull();
  expect(breaker.isUp()).toBe(true);
});

test('both requests of describeRoom count for the circuit breaker', async () => {
  const { breaker, rooms } = start('', null, '', null, null, null, null, null);
  // The list of participants is empty, so the list of rooms is requested too.
  for (let i = 0; i < 2; i += 1) await rooms.describeRoom('r', ASKING);
  expect(breaker.isUp()).toBe(true);
  for (let i = 0; i < 4; i += 1) await rooms.describeRoom('r', ASKING);
  expect(breaker.isUp()).toBe(false);
});

test('a response of another server counts as no response', async () => {
  const wrong = '<html>';
  const { breaker, rooms } = start(wrong, wrong, wrong, wrong, wrong);
  for (let i = 0; i < 5; i += 1) {
    expect(await rooms.listParticipants('r', ASKING)).toMatchObject({ kind: 'unavailable', code: null });
  }
  expect(breaker.isUp()).toBe(false);
});
