import { RoomServiceClient } from 'livekit-server-sdk';
import { describe, expect, test } from 'vitest';
import { type Hangup, nextReconciliation } from '../../harness/hangup.ts';
import { readMetrics } from '../../harness/metrics.ts';
import { startTimedHangup } from '../../harness/timed-hangup.ts';

/* Reconciliation without any webhook. The tests inject faults, so they run on the emulator. */

/** hangup confirms a missing room or participant after this time. */
const MISSING_FOR_MS = 10_000;

const recordOf = async (hangup: Hangup, id: string) => {
  const record = await hangup.store.findCall(id);
  if (record === null) throw new Error(`there is no call ${id}`);
  return record;
};
const statusOf = async (hangup: Hangup, id: string) => (await recordOf(hangup, id)).call.status;
const missingMembers = async (hangup: Hangup, id: string) =>
  (await recordOf(hangup, id)).call.roster?.members.filter(({ missingSince }) => missingSince !== null);
const reasonsOf = async (hangup: Hangup, callId: string) =>
  (await hangup.store.listCallEvents({ callId, after: 0, limit: 100 })).map(
    ({ toStatus, action, actor, reason }) => `${actor} ${toStatus ?? action}: ${reason}`,
  );

test("a call follows LiveKit's lists of rooms and participants from connecting to completed", async () => {
  const { hangup, clock, emulator } = await startTimedHangup();
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'web' } });
  const caller = emulator.join('web', { identity: 'caller' });
  await expect.poll(() => statusOf(hangup, 'web')).toBe('connecting');
  expect((await recordOf(hangup, 'web')).call).toMatchObject({
    roomId: expect.stringMatching(/^RM_/),
    startedAt: expect.any(Number),
  });
  const agent = emulator.join('web', { identity: 'agent', kind: 'AGENT' });
  await expect.poll(() => statusOf(hangup, 'web')).toBe('active');
  await hangup.insertCall({ id: 'another', status: 'active' });
  emulator.join('another', { identity: 'somebody' });
  caller.leave();
  agent.leave();
  // The timer of the room would do this later.
  const { url, apiKey, apiSecret } = hangup.livekit;
  await new RoomServiceClient(url, apiKey, apiSecret).deleteRoom('web');
  await nextReconciliation(hangup.url);
  expect(await statusOf(hangup, 'web')).toBe('active');
  clock.advance(MISSING_FOR_MS);
  await expect.poll(() => statusOf(hangup, 'web')).toBe('completed');
  expect(await reasonsOf(hangup, 'web')).toEqual([
    'api_key initiated: null',
    'reconciler connecting: LiveKit listed the room',
    'reconciler active: LiveKit listed the participants',
    'reconciler completed: the room is gone, and no webhook reported the end',
  ]);
  expect(await statusOf(hangup, 'another')).toBe('active');
});

test('the room of an ended call is deleted again when a participant recreates it', async () => {
  const { hangup, emulator } = await startTimedHangup();
  await hangup.insertCall({ id: 'c1', status: 'active' });
  const first = emulator.join('c1', { identity: 'caller' });
  await hangup.send('DELETE', '/api/v1/calls/c1');
  expect(await first.disconnected).toBe('ROOM_DELETED');
  const again = emulator.join('c1', { identity: 'caller' });
  expect(await again.disconnected).toBe('ROOM_DELETED');
  await expect
    .poll(
      async () =>
        (await recordOf(hangup, 'c1')).deletion?.state === 'completed' && emulator.roomNames().length === 0,
    )
    .toBe(true);
  expect(await reasonsOf(hangup, 'c1')).toContain(
    'reconciler call.room_deletion_reopened: the room of an ended call is still listed',
  );
});

test('an unregistered room becomes a call when an organization has adopted its prefix, and not otherwise', async () => {
  const { hangup, emulator } = await startTimedHangup();
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
  await expect.poll(async () => (await calls())[0]?.status).toBe('ringing');
  expect(await calls()).toMatchObject([{ phoneNumber: '+15557770001', direction: 'inbound' }]);
});

test('rooms of other applications cause no command for the database, however often they are listed', async () => {
  const { hangup, emulator } = await startTimedHangup();
  for (let i = 0; i < 20; i += 1) emulator.join(`foreign-${i}`, { identity: 'somebody' });
  await nextReconciliation(hangup.url);
  const commands = async () => {
    const { samples } = await readMetrics(hangup.url);
    return samples.filter(({ labels }) => labels.method === 'changeCall:observation');
  };
  expect(await commands()).toEqual([]);
  // The room of an ended call may belong to a caller who came back.
  await hangup.insertCall({ id: 'foreign-3', status: 'completed', endedAt: 1_000 });
  await nextReconciliation(hangup.url);
  expect(await commands()).not.toEqual([]);
});

test('a call fails when its room never appears', async () => {
  const { hangup } = await startTimedHangup({ callStartTimeoutMs: 1_000 });
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
  await expect.poll(() => statusOf(hangup, 'c1')).toBe('failed');
  expect((await recordOf(hangup, 'c1')).call).toMatchObject({ failureReason: 'never started' });
});

test('a call is reconciled when 250 live calls come before it', async () => {
  const { hangup } = await startTimedHangup({ callStartTimeoutMs: 1 });
  const scheduledAt = Date.now() + 3_600_000;
  for (let i = 0; i < 250; i += 1) await hangup.insertCall({ id: `a${i}`, status: 'initiated', scheduledAt });
  await hangup.insertCall({ id: 'b', status: 'initiated' });
  await expect.poll(() => statusOf(hangup, 'b')).toBe('failed');
  expect(await statusOf(hangup, 'a0')).toBe('initiated');
});

describe('an incomplete list of rooms', () => {
  test('ends no call and is logged', async () => {
    const { hangup, emulator } = await startTimedHangup();
    await hangup.insertCall({ id: 'c1', status: 'active', roomId: 'RM_gone' });
    emulator.setFault('ListRooms', { kind: 'status500' });
    const messages = () =>
      hangup.log.filter(({ message }) => message.startsWith('failed to list the rooms of LiveKit'));
    await expect.poll(() => messages().length).toBeGreaterThanOrEqual(3);
    expect(await statusOf(hangup, 'c1')).toBe('active');
  });
});

describe('phones', () => {
  test('ringing and answered are detected by polling', async () => {
    const { hangup, clock, emulator } = await startTimedHangup();
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const phone = emulator.dialOut('c1', { phoneNumber: '+15557770001' });
    await expect.poll(() => statusOf(hangup, 'c1')).toBe('connecting');
    phone.ring();
    await expect.poll(() => statusOf(hangup, 'c1')).toBe('ringing');
    const answeredAt = clock.now();
    phone.answer();
    await expect.poll(() => statusOf(hangup, 'c1')).toBe('active');
    const { call } = await recordOf(hangup, 'c1');
    expect(call.phoneNumber).toBe('+15557770001');
    expect(call.answeredAt).toBeGreaterThanOrEqual(answeredAt);
    expect(call.answeredAt).toBeLessThanOrEqual(clock.now());
  });

  test('a phone that disappears without a webhook ends the call when somebody else stays in the room', async () => {
    const { hangup, clock, emulator } = await startTimedHangup();
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const supervisor = emulator.join('c1', { identity: 'supervisor' });
    const phone = emulator.dialOut('c1', { phoneNumber: '+15557770001' });
    phone.ring();
    await expect.poll(() => statusOf(hangup, 'c1')).toBe('ringing');
    phone.leave('CLIENT_INITIATED');
    await expect.poll(() => missingMembers(hangup, 'c1')).toHaveLength(1);
    clock.advance(MISSING_FOR_MS);
    await expect.poll(() => statusOf(hangup, 'c1')).toBe('no_answer');
    expect((await reasonsOf(hangup, 'c1')).at(-1)).toBe(
      'reconciler no_answer: LiveKit listed the participants',
    );
    expect(await supervisor.disconnected).toBe('ROOM_DELETED');
  });
});

describe('LiveKit is unreachable', () => {
  test('all rooms are deleted after it recovers, and the outage and the recovery are logged once', async () => {
    const { hangup, emulator } = await startTimedHangup();
    const ids = Array.from({ length: 12 }, (_, i) => `c${i}`);
    for (const id of ids) {
      await hangup.insertCall({ id, status: 'active' });
      emulator.join(id, { identity: 'caller' });
    }
    await emulator.pause();
    for (const id of ids)
      expect(await hangup.send('DELETE', `/api/v1/calls/${id}`)).toMatchObject({ status: 200 });
    const messages = (text: string) => hangup.log.filter(({ message }) => message.startsWith(text));
    await expect.poll(() => messages('LiveKit is unreachable')).toHaveLength(1);
    await emulator.resume();
    await expect.poll(() => emulator.roomNames()).toEqual([]);
    await expect.poll(() => messages('LiveKit recovered')).toHaveLength(1);
    expect(messages('LiveKit recovered')[0]?.fields).toMatchObject({
      downMs: expect.any(Number),
      openDeletions: expect.any(Number),
    });
    expect(messages('LiveKit is unreachable')).toHaveLength(1);
  });
});

describe('a room whose node died', () => {
  test('is taken over and deleted after three attempts, and an event records the rescue', async () => {
    const { hangup, emulator } = await startTimedHangup();
    await hangup.insertCall({ id: 'c1', status: 'active' });
    emulator.join('c1', { identity: 'caller' });
    emulator.killNode();
    await hangup.send('DELETE', '/api/v1/calls/c1');
    await expect.poll(async () => (await recordOf(hangup, 'c1')).deletion?.state).toBe('completed');
    expect(emulator.roomNames()).toEqual([]);
    expect(await reasonsOf(hangup, 'c1')).toContain(
      'reconciler call.room_rescued: taken over from a dead node',
    );
    expect(hangup.log.filter(({ message }) => message.startsWith('ghost room rescued'))).toHaveLength(1);
    expect(hangup.log.filter(({ message }) => message.startsWith('LiveKit is unreachable'))).toHaveLength(0);
  });

  test('is retried until the rescue succeeds', async () => {
    const { hangup, emulator } = await startTimedHangup();
    await hangup.insertCall({ id: 'c1', status: 'active' });
    emulator.join('c1', { identity: 'caller' });
    emulator.killNode();
    emulator.setFault('CreateRoom', { kind: 'status503' });
    await hangup.send('DELETE', '/api/v1/calls/c1');
    await expect
      .poll(async () => (await recordOf(hangup, 'c1')).deletion?.attempt ?? 0)
      .toBeGreaterThanOrEqual(5);
    emulator.setFault('CreateRoom', null);
    await expect.poll(async () => (await recordOf(hangup, 'c1')).deletion?.state).toBe('completed');
  });
});
