import { once } from 'node:events';
import { request } from 'node:http';
import { AccessToken, RoomServiceClient, ServerError } from 'livekit-server-sdk';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import {
  type Emulator,
  type EmulatorOptions,
  type Fault,
  startEmulator,
} from '../../src/emulator/emulator.ts';
import { API_KEY, API_SECRET } from '../harness/livekit.ts';
import { freePort } from '../harness/ports.ts';

afterEach(() => {
  vi.useRealTimers();
});

async function start(options: Partial<EmulatorOptions> = {}): Promise<Emulator> {
  const port = await freePort();
  const emulator = await startEmulator({ apiKey: API_KEY, apiSecret: API_SECRET, port, ...options });
  onTestFinished(() => emulator.stop());
  return emulator;
}

const clientOf = (emulator: Emulator, timeoutMs = 5_000) =>
  new RoomServiceClient(emulator.url, API_KEY, API_SECRET, {
    requestTimeout: timeoutMs / 1000,
    failover: false,
  });

/** Twirp's status, code and message, or the code of the network error. */
async function failureOf(requested: Promise<unknown>): Promise<string> {
  try {
    await requested;
    return 'none';
  } catch (error) {
    if (error instanceof ServerError) return `${error.status} ${error.code} ${error.message}`;
    if (!(error instanceof Error)) return String(error);
    const cause = z.object({ code: z.string() }).safeParse(error.cause);
    return cause.success ? cause.data.code : error.name;
  }
}

interface SentRequest {
  /** The response status or the code of the network error. */
  readonly outcome: Promise<string>;
  disconnect(): void;
}

/** Requests a room's deletion. Returns after the emulator has read the request. */
async function sendDelete(emulator: Emulator, room: string): Promise<SentRequest> {
  const token = new AccessToken(API_KEY, API_SECRET, { ttl: 60 });
  token.addGrant({ roomCreate: true });
  const sent = request(new URL('/twirp/livekit.RoomService/DeleteRoom', emulator.url), {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await token.toJwt()}` },
  });
  const { promise: outcome, resolve } = Promise.withResolvers<string>();
  sent.on('response', ({ statusCode }) => resolve(`status ${statusCode}`));
  sent.on('error', (error) => resolve('code' in error ? String(error.code) : error.message));
  sent.end(JSON.stringify({ room }));
  await once(sent, 'finish');
  // The emulator reads requests in order, so it has read the deletion before it answers this request.
  await clientOf(emulator).listRooms();
  return { outcome, disconnect: () => void sent.destroy() };
}

describe('faults', () => {
  const unavailable = '503 unavailable twirp error unknown: no response from servers';

  test.each<[Fault, string, 'kept' | 'deleted']>([
    [{ kind: 'status500' }, '500 internal twirp error unknown: internal error', 'kept'],
    [{ kind: 'status503' }, unavailable, 'kept'],
    [{ kind: 'reset' }, 'ECONNRESET', 'kept'],
    [{ kind: 'applyThen503' }, unavailable, 'deleted'],
    [{ kind: 'applyThenReset' }, 'ECONNRESET', 'deleted'],
  ])('DeleteRoom fails while the fault %o is active', async (fault, failure, room) => {
    const emulator = await start();
    const client = clientOf(emulator);
    await client.createRoom({ name: 'r' });
    emulator.setFault('DeleteRoom', fault);
    expect(await failureOf(client.deleteRoom('r'))).toBe(failure);
    expect(emulator.roomNames()).toEqual(room === 'kept' ? ['r'] : []);
    expect(await failureOf(client.listRooms())).toBe('none');
    emulator.setFault('DeleteRoom', null);
    await client.createRoom({ name: 'r' });
    expect(await failureOf(client.deleteRoom('r'))).toBe('none');
    expect(emulator.roomNames()).toEqual([]);
  });

  test("a method's own fault takes precedence over the fault of all methods", async () => {
    const emulator = await start();
    const client = clientOf(emulator);
    emulator.setFault('*', { kind: 'status503' });
    emulator.setFault('DeleteRoom', { kind: 'status500' });
    expect(await failureOf(client.deleteRoom('r'))).toMatch(/^500/);
    expect(await failureOf(client.listRooms())).toMatch(/^503/);
    emulator.setFault('DeleteRoom', null);
    expect(await failureOf(client.deleteRoom('r'))).toMatch(/^503/);
    emulator.setFault('*', null);
    expect(await failureOf(client.deleteRoom('r'))).toMatch(/^404 not_found/);
  });

  test('a hanging request gets no response and is never applied, even after the fault is removed', async () => {
    const emulator = await start();
    emulator.join('r', { identity: 'caller' });
    emulator.setFault('DeleteRoom', { kind: 'hang' });
    const hung = await sendDelete(emulator, 'r');
    emulator.setFault('DeleteRoom', null);
    expect(await failureOf(clientOf(emulator).deleteRoom('another'))).toMatch(/^404 not_found/);
    expect(emulator.roomNames()).toEqual(['r']);
    await emulator.pause();
    expect(await hung.outcome).toBe('ECONNRESET');
    expect(emulator.roomNames()).toEqual(['r']);
  });

  test("a hanging request fails at the caller's deadline", async () => {
    const emulator = await start();
    emulator.setFault('*', { kind: 'hang' });
    expect(await failureOf(clientOf(emulator, 50).listRooms())).toBe('TimeoutError');
  });

  test('a slow request is applied after its delay when the caller has disconnected', async () => {
    const emulator = await start();
    const caller = emulator.join('r', { identity: 'caller' });
    emulator.setFault('DeleteRoom', { kind: 'slow', delayMs: 400 });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const slow = await sendDelete(emulator, 'r');
    slow.disconnect();
    expect(await slow.outcome).toBe('ECONNRESET');
    vi.advanceTimersByTime(399);
    await clientOf(emulator).listRooms();
    expect(emulator.roomNames()).toEqual(['r']);
    vi.advanceTimersByTime(1);
    expect(await caller.disconnected).toBe('ROOM_DELETED');
    expect(emulator.roomNames()).toEqual([]);
  });

  test('a slow request is not applied when the emulator is paused before the end of the delay', async () => {
    const emulator = await start();
    emulator.join('r', { identity: 'caller' });
    emulator.setFault('DeleteRoom', { kind: 'slow', delayMs: 200 });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const slow = await sendDelete(emulator, 'r');
    await emulator.pause();
    expect(await slow.outcome).toBe('ECONNRESET');
    vi.advanceTimersByTime(300);
    await emulator.resume();
    await clientOf(emulator).listRooms();
    expect(emulator.roomNames()).toEqual(['r']);
  });
});

describe('pause and resume', () => {
  test('a paused emulator refuses connections, and has the same rooms and port after resume', async () => {
    const emulator = await start();
    const client = clientOf(emulator);
    const caller = emulator.join('r', { identity: 'caller' });
    const [before] = await client.listRooms();
    await emulator.pause();
    expect(await failureOf(client.deleteRoom('r'))).toBe('ECONNREFUSED');
    await emulator.resume();
    const [after] = await client.listRooms();
    expect(after?.sid).toBe(before?.sid);
    await client.deleteRoom('r');
    expect(await caller.disconnected).toBe('ROOM_DELETED');
  });

  test('pause and resume have no further effect when called twice', async () => {
    const emulator = await start();
    await emulator.pause();
    await emulator.pause();
    await emulator.resume();
    await emulator.resume();
    expect(await clientOf(emulator).listRooms()).toEqual([]);
  });

  test('the emulator starts on the given port, and fails when the port is in use', async () => {
    const first = await start();
    const port = Number(new URL(first.url).port);
    await expect(startEmulator({ apiKey: API_KEY, apiSecret: API_SECRET, port })).rejects.toThrow(
      'EADDRINUSE',
    );
    await first.stop();
    expect((await start({ port })).url).toBe(first.url);
  });
});

describe('timers', () => {
  const fakeTimers = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });

  test('a room ends 20 s after the last participant has left, unless a participant joins', async () => {
    const emulator = await start();
    fakeTimers();
    emulator.join('r', { identity: 'caller' }).leave();
    vi.advanceTimersByTime(19_999);
    const rejoined = emulator.join('r', { identity: 'caller' });
    vi.advanceTimersByTime(3_600_000);
    expect(emulator.roomNames()).toEqual(['r']);
    rejoined.leave();
    vi.advanceTimersByTime(19_999);
    expect(emulator.roomNames()).toEqual(['r']);
    vi.advanceTimersByTime(1);
    expect(emulator.roomNames()).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('options set the timeouts of new rooms', async () => {
    const emulator = await start({ departureTimeoutMs: 50, emptyTimeoutMs: 1_500 });
    const room = await clientOf(emulator).createRoom({ name: 'never joined' });
    expect(room).toMatchObject({ emptyTimeout: 2, departureTimeout: 1 });
    fakeTimers();
    emulator.join('r', { identity: 'caller' }).leave();
    vi.advanceTimersByTime(49);
    expect(emulator.roomNames()).toContain('r');
    vi.advanceTimersByTime(1);
    expect(emulator.roomNames()).not.toContain('r');
  });

  test('an empty room ends after its emptyTimeout', async () => {
    const emulator = await start({ emptyTimeoutMs: 20 });
    await clientOf(emulator).createRoom({ name: 'r' });
    await vi.waitUntil(() => emulator.roomNames().length === 0);
  });

  test('a timeout above the maximum of a timer does not end the room immediately', async () => {
    const emulator = await start();
    const client = clientOf(emulator);
    fakeTimers();
    await client.createRoom({ name: 'r', emptyTimeout: 4_294_967 });
    vi.advanceTimersByTime(2 ** 31 - 2);
    expect((await client.listRooms()).map(({ name }) => name)).toEqual(['r']);
  });

  test('the timer of a deleted room does not end a new room of the same name', async () => {
    const emulator = await start({ departureTimeoutMs: 50 });
    const client = clientOf(emulator);
    fakeTimers();
    emulator.join('r', { identity: 'caller' }).leave();
    await client.deleteRoom('r');
    emulator.join('r', { identity: 'caller' });
    vi.advanceTimersByTime(150);
    expect(emulator.roomNames()).toEqual(['r']);
  });

  test('the count of participants is updated every five seconds and omits agents', async () => {
    const emulator = await start();
    const client = clientOf(emulator);
    const count = async () => (await client.listRooms(['r']))[0]?.numParticipants;
    vi.useFakeTimers({ toFake: ['Date'] });
    emulator.join('r', { identity: 'caller' });
    emulator.join('r', { identity: 'agent', kind: 'AGENT' });
    expect(await count()).toBe(0);
    vi.setSystemTime(Date.now() + 5_000);
    expect(await count()).toBe(1);
  });
});

describe('participants', () => {
  test('a second participant with the same identity replaces the first, whose handle has no effect any more', async () => {
    const emulator = await start();
    const first = emulator.join('r', { identity: 'caller' });
    const second = emulator.join('r', { identity: 'caller' });
    expect(await first.disconnected).toBe('DUPLICATE_IDENTITY');
    first.leave();
    first.publishAudio();
    const [remaining, ...others] = await clientOf(emulator).listParticipants('r');
    expect(others).toEqual([]);
    expect(remaining).toMatchObject({ sid: second.sid, tracks: [] });
    expect(second.sid).not.toBe(first.sid);
  });

  test('GetParticipant returns the options and the changes of a participant', async () => {
    const emulator = await start();
    const phone = emulator.join('r', {
      identity: 'phone',
      name: 'Callee',
      kind: 'SIP',
      metadata: 'md',
      attributes: { 'sip.callStatus': 'dialing', callId: 'c-1' },
    });
    phone.setAttributes({ 'sip.callStatus': 'active', callId: '' });
    phone.publishAudio();
    const info = await clientOf(emulator).getParticipant('r', 'phone');
    expect(info.toJson()).toMatchObject({
      sid: phone.sid,
      identity: 'phone',
      name: 'Callee',
      kind: 'SIP',
      metadata: 'md',
      state: 'ACTIVE',
      isPublisher: true,
      attributes: { 'sip.callStatus': 'active' },
    });
    expect(info.attributes).not.toHaveProperty('callId');
    expect(info.tracks).toHaveLength(1);
  });

  test('leave reports the reason, and throws on an undefined reason', async () => {
    const emulator = await start();
    const phone = emulator.join('r', { identity: 'phone' });
    expect(() => phone.leave('BORED')).toThrow();
    expect(await clientOf(emulator).listParticipants('r')).toHaveLength(1);
    phone.leave('USER_REJECTED');
    phone.leave();
    expect(await phone.disconnected).toBe('USER_REJECTED');
    expect(await clientOf(emulator).listParticipants('r')).toEqual([]);
  });

  test('join throws when LiveKit would reject the participant', async () => {
    const emulator = await start();
    expect(() => emulator.join('n'.repeat(257), { identity: 'caller' })).toThrow('too long');
    expect(() => emulator.join('r', { identity: '' })).toThrow('identity');
    expect(emulator.roomNames()).toEqual([]);
  });
});

test('a request over 1 MiB is rejected, and the server answers the next request', async () => {
  const emulator = await start();
  const client = clientOf(emulator);
  const metadata = 'm'.repeat(1024 * 1024);
  expect(await failureOf(client.createRoom({ name: 'r', metadata }))).toMatch(/^400 malformed/);
  expect(await client.listRooms()).toEqual([]);
});

test('a stopped emulator refuses connections and joins, and can be stopped again', async () => {
  const emulator = await start();
  const caller = emulator.join('r', { identity: 'caller' });
  await emulator.stop();
  await emulator.stop();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  caller.leave();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  expect(emulator.roomNames()).toEqual([]);
  expect(() => emulator.join('r', { identity: 'caller' })).toThrow('stopped');
  await expect(emulator.resume()).rejects.toThrow('stopped');
  expect(await failureOf(clientOf(emulator).listRooms())).toBe('ECONNREFUSED');
});
