import { describe, expect, onTestFinished, test } from 'vitest';
import type { Fault } from '../../../src/emulator/emulator.ts';
import { startEmulator } from '../../../src/emulator/emulator.ts';
import { maskPhoneNumbers } from '../../../src/platform/mask-phone-numbers.ts';
import { type Hangup, startHangup, type TestSettings } from '../../harness/hangup.ts';
import type { LiveKitUnderTest } from '../../harness/livekit.ts';
import { freePort } from '../../harness/ports.ts';

/** Starts the emulator, because the tests inject faults. */
async function emulated() {
  const keys = { apiKey: 'devkey', apiSecret: 'secretsecretsecretsecretsecretsecret' };
  const emulator = await startEmulator({ ...keys, port: await freePort() });
  onTestFinished(() => emulator.stop());
  const livekit: LiveKitUnderTest = {
    kind: 'emulator',
    url: emulator.url,
    ...keys,
    join: () => Promise.reject(new Error('join the emulator itself')),
    roomNames: async () => emulator.roomNames(),
    stop: () => emulator.stop(),
  };
  return { emulator, livekit };
}

async function start(settings: TestSettings = {}) {
  const { emulator, livekit } = await emulated();
  const hangup = await startHangup({ livekit, settings });
  onTestFinished(() => hangup.stop());
  const insertLiveCall = async (id: string, parts: { roomName?: string } = {}) => {
    await hangup.insertCall({ id, status: 'active', ...parts });
    return emulator.join(parts.roomName ?? id, { identity: 'caller' });
  };
  const cancel = (id: string) => hangup.send('DELETE', `/api/v1/calls/${id}`);
  return { emulator, livekit, hangup, startLiveCall: insertLiveCall, cancel };
}

const deletionOf = async (hangup: Hangup, id: string) => (await hangup.store.findCall(id))?.deletion;
const warningsOf = (hangup: Hangup, callId: string) =>
  hangup.log.filter(({ level, fields }) => level === 'warn' && fields.callId === callId);

describe('a cancel returns 200 and the room is deleted later', () => {
  // If LiveKit responds, the deadline is long enough for a busy machine.
  test.each<[string, Fault, number, RegExp]>([
    ['answers 500', { kind: 'status500' }, 10_000, /^unavailable: internal: /],
    ['answers 503', { kind: 'status503' }, 10_000, /^unavailable: (?!unavailable).*no response from servers/],
    ['hangs', { kind: 'hang' }, 300, /^timed_out: no response within \d+ ms/],
    ['resets the connection', { kind: 'reset' }, 10_000, /^unavailable: the connection failed: /],
    ['deletes the room and answers 503', { kind: 'applyThen503' }, 10_000, /^unavailable: /],
    ['deletes the room and resets the connection', { kind: 'applyThenReset' }, 10_000, /^unavailable: /],
    ['answers after the deadline', { kind: 'slow', delayMs: 10_000 }, 300, /^timed_out: /],
  ])('when LiveKit %s', async (_, fault, timeoutMs, cause) => {
    const { emulator, hangup, startLiveCall, cancel } = await start({
      cancelTimeoutMs: timeoutMs,
      backgroundTimeoutMs: timeoutMs,
    });
    const person = await startLiveCall('c1');
    emulator.setFault('DeleteRoom', fault);
    expect(await cancel('c1')).toMatchObject({
      status: 200,
      body: { data: { id: 'c1', status: 'cancelled' } },
    });
    expect(await deletionOf(hangup, 'c1')).toMatchObject({
      state: expect.stringMatching(/retryable|running/),
      lastError: expect.stringMatching(cause),
    });
    const [warning] = warningsOf(hangup, 'c1');
    expect(warning).toMatchObject({
      message: 'room deletion failed; retry scheduled',
      fields: {
        callId: 'c1',
        roomName: 'c1',
        cause: expect.stringMatching(cause),
        nextAttemptAt: expect.stringMatching(/Z$/),
      },
    });
    emulator.setFault('DeleteRoom', null);
    expect(await person.disconnected).toBe('ROOM_DELETED');
    await expect.poll(async () => (await deletionOf(hangup, 'c1'))?.state).toBe('completed');
    expect(emulator.roomNames()).toEqual([]);
  });

  test('when LiveKit refuses connections', async () => {
    const { emulator, hangup, startLiveCall, cancel } = await start();
    await startLiveCall('c1');
    await emulator.pause();
    expect(await cancel('c1')).toMatchObject({ status: 200 });
    expect(warningsOf(hangup, 'c1')[0]?.fields.cause).toMatch(/ECONNREFUSED/);
    await emulator.resume();
    await expect.poll(() => emulator.roomNames()).toEqual([]);
  });
});

test('attempts of a deletion are numbered in sequence', async () => {
  const { emulator, hangup, startLiveCall, cancel } = await start();
  await startLiveCall('c1');
  emulator.setFault('DeleteRoom', { kind: 'status503' });
  await cancel('c1');
  await expect.poll(() => warningsOf(hangup, 'c1').length).toBeGreaterThanOrEqual(5);
  expect(
    warningsOf(hangup, 'c1')
      .map(({ fields }) => fields.attempt)
      .slice(0, 5),
  ).toEqual([1, 2, 3, 4, 5]);
});

test('a deletion older than RETRY_MAX_AGE_MS is discarded and logged as an error', async () => {
  const retry = { initialDelayMs: 20, maxDelayMs: 40, maxAgeMs: 100 };
  const { emulator, hangup, startLiveCall, cancel } = await start({ retry });
  await startLiveCall('c1');
  emulator.setFault('DeleteRoom', { kind: 'status503' });
  await cancel('c1');
  await expect.poll(async () => (await deletionOf(hangup, 'c1'))?.state).toBe('discarded');
  await expect
    .poll(() => hangup.log)
    .toContainEqual(
      expect.objectContaining({
        level: 'error',
        message: 'room deletion discarded; try again with `hangup deletions retry`',
        fields: expect.objectContaining({ callId: 'c1' }),
      }),
    );
});

describe('the log advises and the cancel is stored', () => {
  test('when LiveKit refuses the credentials, and no token is logged', async () => {
    const { livekit, emulator } = await emulated();
    const hangup = await startHangup({ livekit: { ...livekit, apiSecret: 'w'.repeat(36) } });
    onTestFinished(() => hangup.stop());
    await hangup.insertCall({ id: 'c1', status: 'active' });
    emulator.join('c1', { identity: 'caller' });
    expect(await hangup.send('DELETE', '/api/v1/calls/c1')).toMatchObject({ status: 200 });
    expect(warningsOf(hangup, 'c1')[0]?.fields).toMatchObject({
      cause: expect.stringMatching(/^refused .*\[token\]/),
      advice:
        'check LIVEKIT_API_KEY and LIVEKIT_API_SECRET against the keys of your LiveKit server; if they are right, compare the clocks',
    });
    expect(await deletionOf(hangup, 'c1')).toMatchObject({
      lastError: expect.not.stringMatching(/eyJ/),
    });
    expect(JSON.stringify(hangup.log)).not.toMatch(/eyJ/);
  });

  test('when the server at LIVEKIT_URL is not LiveKit', async () => {
    const { hangup: another, livekit } = await start();
    const hangup = await startHangup({ livekit: { ...livekit, url: another.url } });
    onTestFinished(() => hangup.stop());
    await hangup.insertCall({ id: 'c1', status: 'active' });
    expect(await hangup.send('DELETE', '/api/v1/calls/c1')).toMatchObject({ status: 200 });
    expect(warningsOf(hangup, 'c1')[0]?.fields).toMatchObject({
      advice: 'check LIVEKIT_URL: the address is not a LiveKit server',
    });
  });
});

describe('200 concurrent cancels while LiveKit hangs', () => {
  // scripts/bench/hanging.ts measures both times.
  test('all return 200, reads are answered meanwhile, and every room is deleted after LiveKit recovers', async () => {
    const { emulator, hangup, startLiveCall, cancel } = await start({
      cancelTimeoutMs: 2_500,
      backgroundTimeoutMs: 10_000,
      readTimeoutMs: 500,
      retry: { initialDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 },
    });
    const ids = Array.from({ length: 200 }, (_, i) => `c${i}`);
    for (const id of ids) await startLiveCall(id);
    await hangup.insertCall({ id: 'ended', status: 'completed', endedAt: 2_000 });
    emulator.setFault('*', { kind: 'hang' });

    let areCancelling = true;
    const cancels = Promise.all(ids.map((id) => cancel(id))).finally(() => {
      areCancelling = false;
    });
    let readsMeanwhile = 0;
    while (areCancelling) {
      for (const path of ['/api/v1/calls/ended', '/api/v1/calls?limit=10', '/api/v1/calls/c199']) {
        expect(await hangup.send('GET', path)).toMatchObject({ status: 200 });
        if (areCancelling) readsMeanwhile += 1;
      }
    }
    expect(readsMeanwhile).toBeGreaterThan(0);
    expect((await cancels).every(({ status }) => status === 200)).toBe(true);

    emulator.setFault('*', null);
    await expect.poll(() => emulator.roomNames(), { timeout: 60_000 }).toEqual([]);
    await expect.poll(() => hangup.store.nextDeletionAt(), { timeout: 60_000 }).toBeNull();
  });
});

test('maskPhoneNumbers keeps the last two digits of a phone number in a room name', () => {
  expect(maskPhoneNumbers('call-_+15557770001_RwD9s3s5uiTY')).toBe('call-_**********01_RwD9s3s5uiTY');
  expect(maskPhoneNumbers('call_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b')).toBe(
    'call_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b',
  );
  expect(maskPhoneNumbers('/api/v1/calls/15551234567')).toBe('/api/v1/calls/*********67');
  expect(maskPhoneNumbers('/api/v1/calls/c-%2B15551234567')).toBe('/api/v1/calls/c-%2B*********67');
});
