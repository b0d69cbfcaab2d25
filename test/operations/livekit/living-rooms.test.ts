import { describe, expect, test } from 'vitest';
import { type Hangup, nextReconciliation } from '../../harness/hangup.ts';
import { freePorts } from '../../harness/ports.ts';
import { startTimedHangup } from '../../harness/timed-hangup.ts';

/* Reconciliation of rooms that still exist. The tests inject faults, so they run on the emulator. Most lose all webhooks. */

/** hangup confirms a dead node and a missing participant after this time. */
const MISSING_CONFIRM_MS = 10_000;
const GRACE_MS = 60_000;

async function readRecord(hangup: Hangup, id: string) {
  const record = await hangup.store.findCall(id);
  if (record === null) throw new Error(`call not found: ${id}`);
  return record;
}
const callOf = async (hangup: Hangup, id: string) => (await readRecord(hangup, id)).call;
const missingMembers = async (hangup: Hangup, id: string) =>
  (await callOf(hangup, id)).roster?.members.filter(({ missingSince }) => missingSince !== null);
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

test('a call that ended in error leaves its room alone, and an error and an event record the survival', async () => {
  const { hangup, emulator } = await startTimedHangup();
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
  const caller = emulator.join('c1', { identity: 'caller' });
  emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
  await expect.poll(async () => (await callOf(hangup, 'c1')).status).toBe('active');
  // LiveKit's responses could omit the room and its participants like this.
  const { roomId: sid } = await callOf(hangup, 'c1');
  const policy = { agentLeftGraceMs: 30_000, reconnectGraceMs: 25_000, recreatedRoomWindowMs: 86_400_000 };
  const observation = { kind: 'room_absent', callId: 'c1', sid } as const;
  await hangup.store.changeCall({ kind: 'observation', observation, policy, adopted: null, leaseMs: null });
  expect((await callOf(hangup, 'c1')).status).toBe('completed');
  const errors = () => hangup.log.filter(({ message }) => message.startsWith('call ended in error'));
  await expect.poll(() => errors()).not.toEqual([]);
  expect(errors()[0]).toMatchObject({ level: 'error', fields: { callId: 'c1' } });
  const compared = hangup.log.length;
  // hangup adopts the second caller's room after the next reconciliations.
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'c2' } });
  emulator.join('c2', { identity: 'caller' });
  await expect.poll(async () => (await callOf(hangup, 'c2')).status).toBe('connecting');
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
  test.each([
    ['completed', 'an agent and a person', true],
    ['failed', 'a person who waits for an agent', false],
  ])('becomes %s and its room is deleted when it had %s', async (status, _, hasAgent) => {
    const { hangup, clock, emulator } = await startTimedHangup({ reconnectGraceMs: 1_500 });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    emulator.join('c1', { identity: 'caller' });
    if (hasAgent) emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    const before = hasAgent ? 'active' : 'connecting';
    await expect.poll(async () => (await callOf(hangup, 'c1')).status).toBe(before);
    emulator.killNode();
    await expect.poll(async () => (await callOf(hangup, 'c1')).roster?.unresponsive).not.toBeNull();
    clock.advance(MISSING_CONFIRM_MS);
    await expect.poll(async () => (await callOf(hangup, 'c1')).endedAt).not.toBeNull();
    expect(await callOf(hangup, 'c1')).toMatchObject({ status, failureReason: 'NODE_LOST' });
    await expect.poll(() => emulator.roomNames()).toEqual([]);
    const rescued = 'call.room_rescued: taken over from a dead node';
    await expect.poll(() => eventsOf(hangup, 'c1')).toContain(rescued);
  });

  test('continues when its clients return within the grace period', async () => {
    const { hangup, emulator } = await startTimedHangup({ reconnectGraceMs: 4_000 });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    emulator.join('c1', { identity: 'caller' });
    emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    await expect.poll(async () => (await callOf(hangup, 'c1')).status).toBe('active');
    emulator.killNode();
    const isSuspected = async () => (await callOf(hangup, 'c1')).roster?.unresponsive != null;
    await expect.poll(isSuspected).toBe(true);
    emulator.join('c1', { identity: 'caller' });
    emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    await expect.poll(() => isSuspected()).toBe(false);
    expect((await callOf(hangup, 'c1')).status).toBe('active');
    expect(emulator.roomNames()).toEqual(['c1']);
  });

  test('ends when one of two parties returns and LiveKit still lists the other one', async () => {
    const [port = 0] = await freePorts(1);
    const webhookUrls = [`http://127.0.0.1:${port}/webhooks/livekit`];
    const graces = { agentLeftGraceMs: GRACE_MS, reconnectGraceMs: GRACE_MS };
    const { hangup, clock, emulator } = await startTimedHangup({ port, ...graces }, { webhookUrls });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const joinedAt = Date.now();
    emulator.join('c1', { identity: 'first' });
    emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    await expect.poll(async () => (await callOf(hangup, 'c1')).status).toBe('active');
    // LiveKit reports the start of the moved room in whole seconds.
    await expect.poll(() => Date.now() - joinedAt > 1_500).toBe(true);
    emulator.killNode();
    const returning = emulator.join('c1', { identity: 'first' });
    await expect.poll(async () => (await callOf(hangup, 'c1')).roster?.moved).not.toBeNull();
    clock.advance(GRACE_MS);
    await expect.poll(async () => (await callOf(hangup, 'c1')).roster?.lastAgentLeft).not.toBeNull();
    clock.advance(GRACE_MS);
    await expect.poll(async () => (await callOf(hangup, 'c1')).endedAt).not.toBeNull();
    expect(await callOf(hangup, 'c1')).toMatchObject({ status: 'completed', failureReason: 'NODE_LOST' });
    expect(await returning.disconnected).toBe('ROOM_DELETED');
  });

  test('continues when both parties return on the living node', async () => {
    const [port = 0] = await freePorts(1);
    const webhookUrls = [`http://127.0.0.1:${port}/webhooks/livekit`];
    const { hangup, clock, emulator } = await startTimedHangup(
      { port, reconnectGraceMs: GRACE_MS },
      { webhookUrls },
    );
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const joinedAt = Date.now();
    emulator.join('c1', { identity: 'first' });
    emulator.join('c1', { identity: 'second' });
    await expect.poll(async () => (await callOf(hangup, 'c1')).status).toBe('active');
    await expect.poll(() => Date.now() - joinedAt > 1_500).toBe(true);
    emulator.killNode();
    emulator.join('c1', { identity: 'first' });
    emulator.join('c1', { identity: 'second' });
    await emulator.webhooksDelivered('c1');
    clock.advance(GRACE_MS);
    await nextReconciliation(hangup.url);
    await expect
      .poll(async () => {
        const { roster } = await callOf(hangup, 'c1');
        return roster !== null && roster.members.length === 4 && roster.moved === null;
      })
      .toBe(true);
    expect((await callOf(hangup, 'c1')).status).toBe('active');
    expect(emulator.roomNames()).toEqual(['c1']);
  });

  test('continues when LiveKit does not answer at all', async () => {
    const { hangup, emulator } = await startTimedHangup({ reconnectGraceMs: 1_000 });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    emulator.join('c1', { identity: 'caller' });
    emulator.join('c1', { identity: 'agent', kind: 'AGENT' });
    await expect.poll(async () => (await callOf(hangup, 'c1')).status).toBe('active');
    emulator.setFault('SendData', { kind: 'reset' });
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c2' } });
    emulator.join('c2', { identity: 'caller' });
    await expect.poll(async () => (await callOf(hangup, 'c2')).status).toBe('connecting');
    expect(await callOf(hangup, 'c1')).toMatchObject({
      status: 'active',
      roster: { unresponsive: null },
    });
  });
});

describe('a deletion', () => {
  const CALLER = { callerNumber: '+15557770001', calledNumber: '+15550002' };

  test('of a cancelled call is not retried when a new caller is in a room of the same name', async () => {
    const { hangup, emulator } = await startTimedHangup({
      retry: { initialDelayMs: 500, maxDelayMs: 500, maxAgeMs: 86_400_000 },
    });
    await adopt(hangup, 'desk');
    emulator.receiveCall({ rule: 'direct', roomName: 'desk', ...CALLER, identity: 'sip_1' });
    await expect.poll(async () => (await callsIn(hangup, 'desk'))[0]?.status).toBe('ringing');
    const [first] = await callsIn(hangup, 'desk');
    emulator.setFault('DeleteRoom', { kind: 'applyThen503' });
    await hangup.send('DELETE', `/api/v1/calls/${first?.id}`);
    expect(emulator.roomNames()).toEqual([]);
    const second = emulator.receiveCall({ rule: 'direct', roomName: 'desk', ...CALLER, identity: 'sip_1' });
    emulator.setFault('DeleteRoom', null);
    await expect.poll(() => callsIn(hangup, 'desk')).toHaveLength(2);
    await expect.poll(async () => (await callsIn(hangup, 'desk'))[1]?.status).toBe('ringing');
    expect((await readRecord(hangup, first?.id ?? '')).deletion?.state).toBe('completed');
    expect(emulator.roomNames()).toEqual(['desk']);
    second.hangUp();
  });

  test('of a call that was not cancelled leaves the room alone, and records why, when two new parties have joined', async () => {
    const { hangup, clock, emulator } = await startTimedHangup();
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
    const phone = emulator.dialOut('c1', { phoneNumber: '+15557770001' });
    phone.ring();
    await expect.poll(async () => (await callOf(hangup, 'c1')).status).toBe('ringing');
    emulator.setFault('DeleteRoom', { kind: 'status500' });
    phone.busy();
    await expect.poll(() => missingMembers(hangup, 'c1')).toHaveLength(1);
    clock.advance(MISSING_CONFIRM_MS);
    await expect.poll(async () => (await callOf(hangup, 'c1')).endedAt).not.toBeNull();
    emulator.join('c1', { identity: 'first' });
    emulator.join('c1', { identity: 'second' });
    await expect.poll(async () => (await readRecord(hangup, 'c1')).deletion?.state).toBe('completed');
    expect(emulator.roomNames()).toEqual(['c1']);
    expect(await eventsOf(hangup, 'c1')).toContain('call.room_kept: other participants use the room');
  });
});
