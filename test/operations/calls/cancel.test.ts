import { describe, expect, onTestFinished, test } from 'vitest';
import type { Fault } from '../../../src/emulator/emulator.ts';
import { startEmulator } from '../../../src/emulator/emulator.ts';
import type { Settings } from '../../../src/platform/config.ts';
import { type Hangup, startHangup, until } from '../../harness/hangup.ts';
import type { LiveKitUnderTest } from '../../harness/livekit.ts';

/** These inject faults, so they are about the emulator alone. */
async function emulated() {
  const keys = { apiKey: 'devkey', apiSecret: 'secretsecretsecretsecretsecretsecret' };
  const emulator = await startEmulator(keys);
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

async function start(settings: Partial<Settings> = {}) {
  const { emulator, livekit } = await emulated();
  const hangup = await startHangup({ livekit, settings });
  onTestFinished(() => hangup.stop());
  const aLiveCall = async (id: string, parts: { roomName?: string } = {}) => {
    await hangup.putCall({ id, status: 'active', ...parts });
    return emulator.join(parts.roomName ?? id, { identity: 'caller' });
  };
  const cancel = (id: string) => hangup.send('DELETE', `/api/v1/calls/${id}`);
  return { emulator, livekit, hangup, aLiveCall, cancel };
}

const deletionOf = async (hangup: Hangup, id: string) => (await hangup.store.findCall(id))?.deletion;
const warningsOf = (hangup: Hangup, callId: string) =>
  hangup.log.filter(({ level, fields }) => level === 'warn' && fields.callId === callId);

describe('what LiveKit does not do at once is done when it can', () => {
  test.each<[string, Fault, RegExp]>([
    ['says 500', { kind: 'status500' }, /^unavailable: internal: /],
    ['says 503', { kind: 'status503' }, /^unavailable: unavailable: .*no response from servers/],
    ['hangs', { kind: 'hang' }, /^timed_out: no answer within 300 ms/],
    ['resets the connection', { kind: 'reset' }, /^unavailable: the connection failed: /],
    ['deletes, then says 503', { kind: 'applyThen503' }, /^unavailable: /],
    ['deletes, then resets the connection', { kind: 'applyThenReset' }, /^unavailable: /],
    ['is slow', { kind: 'slow', delayMs: 400 }, /^timed_out: /],
  ])('LiveKit %s', async (_, fault, cause) => {
    const { emulator, hangup, aLiveCall, cancel } = await start({
      cancelTimeoutMs: 300,
      backgroundTimeoutMs: 300,
    });
    const person = await aLiveCall('c1');
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
      message: 'room not deleted; it will be tried again',
      fields: {
        callId: 'c1',
        roomName: 'c1',
        cause: expect.stringMatching(cause),
        nextAttemptAt: expect.stringMatching(/Z$/),
      },
    });
    emulator.setFault('DeleteRoom', null);
    expect(await person.disconnected).toBe('ROOM_DELETED');
    await until('it is settled', async () => (await deletionOf(hangup, 'c1'))?.state === 'completed');
    expect(emulator.roomNames()).toEqual([]);
  });

  test('LiveKit is not there at all', async () => {
    const { emulator, hangup, aLiveCall, cancel } = await start();
    await aLiveCall('c1');
    await emulator.pause();
    expect(await cancel('c1')).toMatchObject({ status: 200 });
    expect(warningsOf(hangup, 'c1')[0]?.fields.cause).toMatch(/ECONNREFUSED/);
    await emulator.resume();
    await until('the room is gone', () => emulator.roomNames().length === 0);
  });
});

test('each attempt waits longer, and is counted', async () => {
  const { emulator, hangup, aLiveCall, cancel } = await start();
  await aLiveCall('c1');
  emulator.setFault('DeleteRoom', { kind: 'status503' });
  await cancel('c1');
  await until('it was tried five times', () => warningsOf(hangup, 'c1').length >= 5);
  expect(
    warningsOf(hangup, 'c1')
      .map(({ fields }) => fields.attempt)
      .slice(0, 5),
  ).toEqual([1, 2, 3, 4, 5]);
});

test('after its last day a deletion is given up, loudly', async () => {
  const retry = { firstDelayMs: 20, maxDelayMs: 40, maxAgeMs: 100 };
  const { emulator, hangup, aLiveCall, cancel } = await start({ retry });
  await aLiveCall('c1');
  emulator.setFault('DeleteRoom', { kind: 'status503' });
  await cancel('c1');
  await until('it is given up', async () => (await deletionOf(hangup, 'c1'))?.state === 'discarded');
  expect(hangup.log).toContainEqual(
    expect.objectContaining({
      level: 'error',
      message: 'room not deleted, and given up: it may be alive; try again with `hangup deletions retry`',
      fields: expect.objectContaining({ callId: 'c1' }),
    }),
  );
});

describe('LiveKit refuses', () => {
  test('wrong credentials: the cancel holds, the warning says what to fix, and no token is told', async () => {
    const { livekit, emulator } = await emulated();
    const hangup = await startHangup({ livekit: { ...livekit, apiSecret: 'w'.repeat(36) } });
    onTestFinished(() => hangup.stop());
    await hangup.putCall({ id: 'c1', status: 'active' });
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

  test('what answers is no LiveKit: the warning says so', async () => {
    const { hangup: another, livekit } = await start();
    const hangup = await startHangup({ livekit: { ...livekit, url: another.url } });
    onTestFinished(() => hangup.stop());
    await hangup.putCall({ id: 'c1', status: 'active' });
    expect(await hangup.send('DELETE', '/api/v1/calls/c1')).toMatchObject({ status: 200 });
    expect(warningsOf(hangup, 'c1')[0]?.fields).toMatchObject({
      advice: 'check LIVEKIT_URL: what answers there is no LiveKit server',
    });
  });
});

describe('LiveKit hangs under load', () => {
  // How long both take is in scripts/bench/hanging.ts.
  test('200 cancels at once are answered while it hangs, reads go on meanwhile, and every room goes in the end', async () => {
    const { emulator, hangup, aLiveCall, cancel } = await start({
      cancelTimeoutMs: 2_500,
      backgroundTimeoutMs: 10_000,
      readTimeoutMs: 500,
      retry: { firstDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 },
    });
    const ids = Array.from({ length: 200 }, (_, i) => `c${i}`);
    for (const id of ids) await aLiveCall(id);
    await hangup.putCall({ id: 'ended', status: 'completed', endedAt: 2_000 });
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
    expect(readsMeanwhile).toBeGreaterThan(10);
    expect((await cancels).every(({ status }) => status === 200)).toBe(true);

    emulator.setFault('*', null);
    await until('every room is gone', () => emulator.roomNames().length === 0, 60_000);
    await until(
      'every deletion is settled',
      async () => (await hangup.store.nextDeletionAt()) === null,
      60_000,
    );
  }, 120_000);
});

test('phone numbers in the name of a room are masked where they are logged', async () => {
  const { maskPhoneNumbers } = await import('../../../src/platform/logger.ts');
  expect(maskPhoneNumbers('call-_+15557770001_RwD9s3s5uiTY')).toBe('call-_**********01_RwD9s3s5uiTY');
  expect(maskPhoneNumbers('call_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b')).toBe(
    'call_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b',
  );
  expect(maskPhoneNumbers('/api/v1/calls/15551234567')).toBe('/api/v1/calls/*********67');
  expect(maskPhoneNumbers('/api/v1/calls/c-%2B15551234567')).toBe('/api/v1/calls/c-%2B*********67');
});
