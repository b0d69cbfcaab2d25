import { describe, expect, onTestFinished, test } from 'vitest';
import type { Settings } from '../../../src/platform/config.ts';
import { type Hangup, startHangup, until } from '../../harness/hangup.ts';
import { freePorts, startEmulated } from '../../harness/livekit.ts';

/* What comparing does with rooms that live on. Mostly no webhooks at all, and faults are injected, so: the emulator. */

async function start(
  settings: Partial<Settings> = {},
  { webhookUrls = [] }: { webhookUrls?: string[] } = {},
) {
  const livekit = await startEmulated({ webhookUrls });
  onTestFinished(() => livekit.stop());
  const hangup = await startHangup({ livekit, settings: { reconcileSchedule: '* * * * * *', ...settings } });
  onTestFinished(() => hangup.stop());
  return { hangup, emulator: livekit.emulator };
}

async function recordOf(hangup: Hangup, id: string) {
  const record = await hangup.store.findCall(id);
  if (record === null) throw new Error(`there is no call ${id}`);
  return record;
}
const callOf = async (hangup: Hangup, id: string) => (await recordOf(hangup, id)).call;
const eventsOf = async (hangup: Hangup, callId: string) =>
  (await hangup.store.listCallEvents({ callId, after: 0, limit: 100 })).map(
    ({ toStatus, action, reason }) => `${toStatus ?? action}: ${reason}`,
  );
const callsIn = async (hangup: Hangup, roomName: string) => {
  const { body } = await hangup.send('GET', '/api/v1/calls?sortOrder=asc');
  const { calls } = (body as { data: { calls: { id: string }[] } }).data;
  const all = await Promise.all(calls.map(({ id }) => callOf(hangup, id)));
  return all.filter((call) => call.roomName === roomName);
};
const adopt = (hangup: Hangup, prefix: string) =>
  hangup.store.addAdoptionPrefix({
    prefix,
    organizationName: 'acme',
    organizationIdIfNew: 'org_x',
    now: 1,
  });

test('a call that ended in error by an absence: its room is left alone, an error is logged, its events record it', async () => {
  const { hangup, emulator } = await start();
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
  const caller = emulator.join('c1', { identity: 'caller' });
  emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
  await until('it is active', async () => (await callOf(hangup, 'c1')).status === 'active');
  // As if LiveKit, asked for the room and its participants, had left out both.
  const { roomId: sid } = await callOf(hangup, 'c1');
  const policy = { agentLeftGraceMs: 30_000, reconnectGraceMs: 25_000, recreatedRoomWindowMs: 86_400_000 };
  const observation = { kind: 'room_absent', callId: 'c1', sid } as const;
  await hangup.store.changeCall({ kind: 'observation', observation, policy, adopted: null, leaseMs: null });
  expect((await callOf(hangup, 'c1')).status).toBe('completed');
  const errors = () => hangup.log.filter(({ message }) => message.startsWith('call ended in error'));
  await until('it is logged', () => errors().length > 0);
  expect(errors()[0]).toMatchObject({ level: 'error', fields: { callId: 'c1' } });
  const compared = hangup.log.length;
  // A second caller: the next comparisons have gone by when it is known.
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'c2' } });
  emulator.join('c2', { identity: 'caller' });
  await until('another comparison is over', async () => (await callOf(hangup, 'c2')).status === 'connecting');
  expect(
    hangup.log.slice(compared).filter(({ message }) => message.startsWith('call ended in error')),
  ).toEqual([]);
  expect(errors()).toHaveLength(1);
  expect(emulator.roomNames()).toContain('c1');
  caller.publishAudio();
  expect(
    (await eventsOf(hangup, 'c1')).filter((event) => event.startsWith('call.ended_in_error')),
  ).toHaveLength(1);
});

describe('a live call whose node died', () => {
  const GRACE_MS = 1_500;

  test.each([
    ['completed', 'an agent and a person', true],
    ['failed', 'a person who waits for an agent', false],
  ])(
    'is %s with %s, and its room is deleted',
    async (status, _, hasAgent) => {
      const { hangup, emulator } = await start({ reconnectGraceMs: GRACE_MS });
      await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
      emulator.join('c1', { identity: 'caller' });
      if (hasAgent) emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
      const before = hasAgent ? 'active' : 'connecting';
      await until(`it is ${before}`, async () => (await callOf(hangup, 'c1')).status === before);
      emulator.killNode();
      await until('it has ended', async () => (await callOf(hangup, 'c1')).endedAt !== null);
      expect(await callOf(hangup, 'c1')).toMatchObject({ status, failureReason: 'NODE_LOST' });
      await until('its room is gone', () => emulator.roomNames().length === 0);
      const rescued = 'call.room_rescued: taken over from a dead node';
      await until('that is on record', async () => (await eventsOf(hangup, 'c1')).includes(rescued));
    },
    40_000,
  );

  test('goes on when its clients return within the grace', async () => {
    const { hangup, emulator } = await start({ reconnectGraceMs: 4_000 });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    emulator.join('c1', { identity: 'caller' });
    emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    await until('it is active', async () => (await callOf(hangup, 'c1')).status === 'active');
    emulator.killNode();
    const isSuspected = async () => (await callOf(hangup, 'c1')).roster?.unresponsive != null;
    await until('the node is missed', isSuspected);
    emulator.join('c1', { identity: 'caller' });
    emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    await until('the node answers', async () => !(await isSuspected()));
    expect((await callOf(hangup, 'c1')).status).toBe('active');
    expect(emulator.roomNames()).toEqual(['c1']);
  }, 40_000);

  test('ends when one of two parties returns, and LiveKit lists the other one on', async () => {
    const [port = 0] = await freePorts(1);
    const webhookUrls = [`http://127.0.0.1:${port}/webhooks/livekit`];
    const graces = { agentLeftGraceMs: 1_000, reconnectGraceMs: 2_000 };
    const { hangup, emulator } = await start({ port, ...graces }, { webhookUrls });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const joinedAt = Date.now();
    emulator.join('c1', { identity: 'one' });
    emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    await until('it is active', async () => (await callOf(hangup, 'c1')).status === 'active');
    // LiveKit reports in whole seconds when the room started again.
    await until('a second has gone by', () => Date.now() - joinedAt > 1_500);
    emulator.killNode();
    const one = emulator.join('c1', { identity: 'one' });
    await until('it has ended', async () => (await callOf(hangup, 'c1')).endedAt !== null);
    expect(await callOf(hangup, 'c1')).toMatchObject({ status: 'completed', failureReason: 'NODE_LOST' });
    expect(await one.disconnected).toBe('ROOM_DELETED');
  }, 40_000);

  test('goes on when both parties return, on the living node', async () => {
    const [port = 0] = await freePorts(1);
    const webhookUrls = [`http://127.0.0.1:${port}/webhooks/livekit`];
    const { hangup, emulator } = await start({ port, reconnectGraceMs: 1_000 }, { webhookUrls });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const joinedAt = Date.now();
    emulator.join('c1', { identity: 'one' });
    emulator.join('c1', { identity: 'two' });
    await until('it is active', async () => (await callOf(hangup, 'c1')).status === 'active');
    await until('a second has gone by', () => Date.now() - joinedAt > 1_500);
    emulator.killNode();
    emulator.join('c1', { identity: 'one' });
    emulator.join('c1', { identity: 'two' });
    await until('they were asked for', async () => {
      const { roster } = await callOf(hangup, 'c1');
      return roster !== null && roster.members.length === 4 && roster.moved === null;
    });
    expect((await callOf(hangup, 'c1')).status).toBe('active');
    expect(emulator.roomNames()).toEqual(['c1']);
  }, 40_000);

  test('is not taken for lost because LiveKit does not answer at all', async () => {
    const { hangup, emulator } = await start({ reconnectGraceMs: 1_000 });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    emulator.join('c1', { identity: 'caller' });
    emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    await until('it is active', async () => (await callOf(hangup, 'c1')).status === 'active');
    emulator.setFault('SendData', { kind: 'reset' });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c2' } });
    emulator.join('c2', { identity: 'caller' });
    await until('another call is seen', async () => (await callOf(hangup, 'c2')).status === 'connecting');
    expect(await callOf(hangup, 'c1')).toMatchObject({
      status: 'active',
      roster: { unresponsive: null },
    });
  });
});

describe('a deletion', () => {
  const CALLER = { callerNumber: '+15557770001', calledNumber: '+15550002' };

  test('of a cancelled call is not tried again on a new caller in a room of the same name', async () => {
    const { hangup, emulator } = await start({
      retry: { firstDelayMs: 500, maxDelayMs: 500, maxAgeMs: 86_400_000 },
    });
    await adopt(hangup, 'desk');
    emulator.receiveCall({ rule: 'direct', roomName: 'desk', ...CALLER, identity: 'sip_1' });
    await until('it rings', async () => (await callsIn(hangup, 'desk'))[0]?.status === 'ringing');
    const [first] = await callsIn(hangup, 'desk');
    emulator.setFault('DeleteRoom', { kind: 'applyThen503' });
    await hangup.send('DELETE', `/api/v1/calls/${first?.id}`);
    expect(emulator.roomNames()).toEqual([]);
    const second = emulator.receiveCall({ rule: 'direct', roomName: 'desk', ...CALLER, identity: 'sip_1' });
    emulator.setFault('DeleteRoom', null);
    await until('it is a call', async () => (await callsIn(hangup, 'desk')).length === 2);
    await until('it rings', async () => (await callsIn(hangup, 'desk'))[1]?.status === 'ringing');
    expect((await recordOf(hangup, first?.id ?? '')).deletion?.state).toBe('completed');
    expect(emulator.roomNames()).toEqual(['desk']);
    second.hangUp();
  });

  test('of a call that ended by itself leaves two parties alone who came meanwhile, and that is on record', async () => {
    const { hangup, emulator } = await start();
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const phone = emulator.dialOut('c1', { phoneNumber: '+15557770001' });
    phone.ring();
    await until('it rings', async () => (await callOf(hangup, 'c1')).status === 'ringing');
    emulator.setFault('DeleteRoom', { kind: 'status500' });
    phone.busy();
    await until('it ended', async () => (await callOf(hangup, 'c1')).endedAt !== null);
    emulator.join('c1', { identity: 'one' });
    emulator.join('c1', { identity: 'two' });
    await until(
      'its deletion is over',
      async () => (await recordOf(hangup, 'c1')).deletion?.state === 'completed',
    );
    expect(emulator.roomNames()).toEqual(['c1']);
    expect(await eventsOf(hangup, 'c1')).toContain('call.room_kept: others use the room now');
  }, 40_000);
});
