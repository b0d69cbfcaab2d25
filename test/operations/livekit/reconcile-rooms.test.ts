import { RoomServiceClient } from 'livekit-server-sdk';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Settings } from '../../../src/platform/config.ts';
import { type Hangup, startHangup, until } from '../../harness/hangup.ts';
import { startEmulated } from '../../harness/livekit.ts';

/* No webhooks at all: what is known of rooms is known by comparing. These inject faults, so: the emulator. */

async function start(settings: Partial<Settings> = {}) {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const hangup = await startHangup({ livekit, settings: { reconcileSchedule: '* * * * * *', ...settings } });
  onTestFinished(() => hangup.stop());
  return { hangup, emulator: livekit.emulator };
}

const recordOf = async (hangup: Hangup, id: string) => {
  const record = await hangup.store.findCall(id);
  if (record === null) throw new Error(`there is no call ${id}`);
  return record;
};
const statusOf = async (hangup: Hangup, id: string) => (await recordOf(hangup, id)).call.status;
const reasonsOf = async (hangup: Hangup, callId: string) =>
  (await hangup.store.listCallEvents({ callId, after: 0, limit: 100 })).map(
    ({ toStatus, action, actor, reason }) => `${actor} ${toStatus ?? action}: ${reason}`,
  );

test('a call whose room is there gets its life; who is in it moves it; when the room is gone it ends', async () => {
  const { hangup, emulator } = await start();
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'web' } });
  const caller = emulator.join('web', { identity: 'caller' });
  await until('it is connecting', async () => (await statusOf(hangup, 'web')) === 'connecting');
  expect((await recordOf(hangup, 'web')).call).toMatchObject({
    roomId: expect.stringMatching(/^RM_/),
    startedAt: expect.any(Number),
  });
  const agent = emulator.join('web', { identity: 'agent', kind: 'AGENT' });
  await until('it is active', async () => (await statusOf(hangup, 'web')) === 'active');
  await hangup.putCall({ id: 'another', status: 'active' });
  emulator.join('another', { identity: 'somebody' });
  caller.leave();
  agent.leave();
  // As the room's own timer would, without the wait.
  const { url, apiKey, apiSecret } = hangup.livekit;
  await new RoomServiceClient(url, apiKey, apiSecret).deleteRoom('web');
  await until('it is completed', async () => (await statusOf(hangup, 'web')) === 'completed');
  expect(await reasonsOf(hangup, 'web')).toEqual([
    'api_key initiated: null',
    'reconciler connecting: LiveKit listed the room',
    'reconciler active: LiveKit listed the participants',
    'reconciler completed: the room is gone, and no webhook reported the end',
  ]);
  expect(await statusOf(hangup, 'another')).toBe('active');
}, 40_000);

test('the room of an ended call that is there again is deleted again', async () => {
  const { hangup, emulator } = await start();
  await hangup.putCall({ id: 'c1', status: 'active' });
  const first = emulator.join('c1', { identity: 'caller' });
  await hangup.send('DELETE', '/api/v1/calls/c1');
  expect(await first.disconnected).toBe('ROOM_DELETED');
  const again = emulator.join('c1', { identity: 'caller' });
  expect(await again.disconnected).toBe('ROOM_DELETED');
  await until(
    'it is settled',
    async () =>
      (await recordOf(hangup, 'c1')).deletion?.state === 'completed' && emulator.roomNames().length === 0,
  );
  expect(await reasonsOf(hangup, 'c1')).toContain(
    'reconciler call.room_deletion_reopened: the room of an ended call is still listed',
  );
});

test('a room that nobody registered becomes a call by its prefix, and one without a prefix does not', async () => {
  const { hangup, emulator } = await start();
  await hangup.store.addAdoptionPrefix({
    prefix: 'call-',
    organizationName: 'acme',
    organizationIdIfNew: 'org_x',
    now: 1,
  });
  emulator.join('private', { identity: 'somebody' });
  emulator.receiveCall({ prefix: 'call-', callerNumber: '+15557770001', calledNumber: '+15550002' });
  const calls = async () => {
    const { body } = await hangup.send('GET', '/api/v1/calls');
    return (body as { data: { calls: { phoneNumber: string; direction: string; status: string }[] } }).data
      .calls;
  };
  await until('its phone is known', async () => (await calls())[0]?.status === 'ringing');
  expect(await calls()).toMatchObject([{ phoneNumber: '+15557770001', direction: 'inbound' }]);
});

test('a call that no room was ever seen of fails when its time is over', async () => {
  const { hangup } = await start({ callStartTimeoutMs: 1_000 });
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
  await until('it failed', async () => (await statusOf(hangup, 'c1')) === 'failed');
  expect((await recordOf(hangup, 'c1')).call).toMatchObject({ failureReason: 'never started' });
});

test('a call is compared however many live ones come before it', async () => {
  const { hangup } = await start({ callStartTimeoutMs: 1 });
  const scheduledAt = Date.now() + 3_600_000;
  for (let i = 0; i < 250; i += 1) await hangup.putCall({ id: `a${i}`, status: 'initiated', scheduledAt });
  await hangup.putCall({ id: 'b', status: 'initiated' });
  await until('it failed', async () => (await statusOf(hangup, 'b')) === 'failed');
  expect(await statusOf(hangup, 'a0')).toBe('initiated');
});

describe('LiveKit gives no whole answer', () => {
  test('no call ends by that, and it is said', async () => {
    const { hangup, emulator } = await start();
    await hangup.putCall({ id: 'c1', status: 'active', roomId: 'RM_gone' });
    emulator.setFault('ListRooms', { kind: 'status500' });
    const said = () =>
      hangup.log.filter(({ message }) => message.startsWith('LiveKit did not list its rooms'));
    await until('it was asked three times', () => said().length >= 3);
    expect(await statusOf(hangup, 'c1')).toBe('active');
  });
});

describe('phones', () => {
  test('that one rings, and when it is answered, is asked', async () => {
    const { hangup, emulator } = await start();
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const phone = emulator.dialOut('c1', { phoneNumber: '+15557770001' });
    await until('it connects', async () => (await statusOf(hangup, 'c1')) === 'connecting');
    phone.ring();
    await until('it rings', async () => (await statusOf(hangup, 'c1')) === 'ringing');
    const answeredAt = Date.now();
    phone.answer();
    await until('it is active', async () => (await statusOf(hangup, 'c1')) === 'active');
    const { call } = await recordOf(hangup, 'c1');
    expect(call.phoneNumber).toBe('+15557770001');
    expect(Math.abs((call.answeredAt ?? 0) - answeredAt)).toBeLessThan(2_500);
  });

  test('one that left without a word, in a room where somebody stays, ends the call as far as was known', async () => {
    const { hangup, emulator } = await start();
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const supervisor = emulator.join('c1', { identity: 'supervisor' });
    const phone = emulator.dialOut('c1', { phoneNumber: '+15557770001' });
    phone.ring();
    await until('it rings', async () => (await statusOf(hangup, 'c1')) === 'ringing');
    phone.leave('CLIENT_INITIATED');
    await until('it ended', async () => (await statusOf(hangup, 'c1')) === 'no_answer');
    expect((await reasonsOf(hangup, 'c1')).at(-1)).toBe(
      'reconciler no_answer: LiveKit listed the participants',
    );
    expect(await supervisor.disconnected).toBe('ROOM_DELETED');
  }, 40_000);
});

describe('a LiveKit that is away', () => {
  test('is asked one thing at a time; when it is back all rooms go, and both are said once', async () => {
    const { hangup, emulator } = await start();
    const ids = Array.from({ length: 12 }, (_, i) => `c${i}`);
    for (const id of ids) {
      await hangup.putCall({ id, status: 'active' });
      emulator.join(id, { identity: 'caller' });
    }
    await emulator.pause();
    for (const id of ids)
      expect(await hangup.send('DELETE', `/api/v1/calls/${id}`)).toMatchObject({ status: 200 });
    const said = (text: string) => hangup.log.filter(({ message }) => message.startsWith(text));
    await until('it is seen to be away', () => said('LiveKit is away').length === 1);
    await emulator.resume();
    await until('all rooms are gone', () => emulator.roomNames().length === 0);
    await until('it is said that it is back', () => said('LiveKit is back').length === 1);
    expect(said('LiveKit is back')[0]?.fields).toMatchObject({
      awayMs: expect.any(Number),
      deletionsWaiting: expect.any(Number),
    });
    expect(said('LiveKit is away')).toHaveLength(1);
  });
});

describe('a room whose node died', () => {
  test('is taken over and deleted after three attempts, and that is on record', async () => {
    const { hangup, emulator } = await start();
    await hangup.putCall({ id: 'c1', status: 'active' });
    emulator.join('c1', { identity: 'caller' });
    emulator.killNode();
    await hangup.send('DELETE', '/api/v1/calls/c1');
    await until('it is gone', async () => (await recordOf(hangup, 'c1')).deletion?.state === 'completed');
    expect(emulator.roomNames()).toEqual([]);
    expect(await reasonsOf(hangup, 'c1')).toContain(
      'reconciler call.room_rescued: taken over from a dead node',
    );
    expect(hangup.log.filter(({ message }) => message.startsWith('room rescued'))).toHaveLength(1);
    expect(hangup.log.filter(({ message }) => message.startsWith('LiveKit is away'))).toHaveLength(0);
  });

  test('that not even CreateRoom brings back is tried on', async () => {
    const { hangup, emulator } = await start();
    await hangup.putCall({ id: 'c1', status: 'active' });
    emulator.join('c1', { identity: 'caller' });
    emulator.killNode();
    emulator.setFault('CreateRoom', { kind: 'status503' });
    await hangup.send('DELETE', '/api/v1/calls/c1');
    await until(
      'it was tried five times',
      async () => ((await recordOf(hangup, 'c1')).deletion?.attempt ?? 0) >= 5,
    );
    emulator.setFault('CreateRoom', null);
    await until('it is gone', async () => (await recordOf(hangup, 'c1')).deletion?.state === 'completed');
  });
});
