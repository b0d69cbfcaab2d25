import { RoomServiceClient } from 'livekit-server-sdk';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import { API_KEY, API_SECRET } from '../harness/livekit.ts';

/* The attributes and ends of phone calls. test/livekit/recorded-webhooks.test.ts compares their webhooks with recordings. */

async function start() {
  const emulator = await startEmulator({ apiKey: API_KEY, apiSecret: API_SECRET });
  onTestFinished(() => emulator.stop());
  const client = new RoomServiceClient(emulator.url, API_KEY, API_SECRET);
  const attributesOf = async ({ roomName, identity }: { roomName: string; identity: string }) =>
    (await client.getParticipant(roomName, identity)).attributes;
  return { emulator, client, attributesOf };
}

const dial = (emulator: Emulator) => emulator.dialOut('r', { phoneNumber: '+15551234567' });
const receive = (emulator: Emulator) =>
  emulator.receiveCall({
    prefix: 'call-',
    callerNumber: '+15557770001',
    calledNumber: '+15559999',
    activeAfterMs: 20,
  });

test('an outbound call has the statuses dialing, ringing and active', async () => {
  const { emulator, attributesOf } = await start();
  const phone = dial(emulator);
  expect(phone).toMatchObject({ roomName: 'r', identity: 'phone' });
  expect(await attributesOf(phone)).toMatchObject({ 'sip.callStatus': 'dialing' });
  phone.ring();
  const ringing = await attributesOf(phone);
  expect(ringing).toMatchObject({ 'sip.callStatus': 'ringing', 'sip.phoneNumber': '+15551234567' });
  expect(ringing).not.toHaveProperty('sip.callTag');
  phone.answer();
  expect(await attributesOf(phone)).toMatchObject({
    'sip.callStatus': 'active',
    'sip.callTag': expect.any(String),
  });
});

test('methods for an unanswered phone throw after the answer, and hangUp throws before the answer', async () => {
  const { emulator } = await start();
  const phone = dial(emulator);
  expect(() => phone.hangUp()).toThrow('not answered yet');
  phone.answer();
  for (const before of ['ring', 'busy', 'decline', 'unavailable', 'timeOut', 'unreachable'] as const) {
    expect(() => phone[before]()).toThrow('already answered');
  }
  phone.hangUp();
  expect(await phone.disconnected).toBe('CLIENT_INITIATED');
});

test('a phone leaves with the given reason', async () => {
  const { emulator } = await start();
  const phone = dial(emulator);
  phone.leave('CONNECTION_TIMEOUT');
  expect(await phone.disconnected).toBe('CONNECTION_TIMEOUT');
});

test('an inbound phone rings until another participant publishes audio, and becomes active after a delay', async () => {
  const { emulator, attributesOf } = await start();
  const phone = receive(emulator);
  expect(phone.roomName).toMatch(/^call-_\+15557770001_[A-Za-z0-9]{12}$/);
  expect(phone.identity).toBe('sip_+15557770001');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const agent = emulator.join(phone.roomName, { identity: 'agent', kind: 'AGENT' });
  vi.advanceTimersByTime(60_000);
  expect(await attributesOf(phone)).toMatchObject({ 'sip.callStatus': 'ringing' });
  agent.publishAudio();
  vi.advanceTimersByTime(19);
  expect(await attributesOf(phone)).toMatchObject({ 'sip.callStatus': 'ringing' });
  vi.advanceTimersByTime(1);
  expect(await attributesOf(phone)).toMatchObject({ 'sip.callStatus': 'active' });
});

test('a room with only agents closes after the last phone or person has left', async () => {
  const { emulator, client } = await start();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  await client.createRoom({ name: 'r', departureTimeout: 3, emptyTimeout: 30 });
  const agent = emulator.join('r', { identity: 'agent', kind: 'AGENT' });
  // The room counts as empty until the first phone or person joins.
  vi.advanceTimersByTime(29_999);
  dial(emulator).busy();
  vi.advanceTimersByTime(2_999);
  // Another agent does not extend the timeout.
  emulator.join('r', { identity: 'another', kind: 'AGENT' });
  expect(emulator.roomNames()).toEqual(['r']);
  vi.advanceTimersByTime(1);
  expect(await agent.disconnected).toBe('ROOM_CLOSED');
  expect(emulator.roomNames()).toEqual([]);
});

test('a room that only agents joined closes after its emptyTimeout', async () => {
  const { emulator, client } = await start();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  await client.createRoom({ name: 'r', departureTimeout: 3, emptyTimeout: 30 });
  emulator.join('r', { identity: 'agent', kind: 'AGENT' }).leave();
  const agent = emulator.join('r', { identity: 'agent', kind: 'AGENT' });
  vi.advanceTimersByTime(29_000);
  expect(emulator.roomNames()).toEqual(['r']);
  vi.advanceTimersByTime(1_000);
  expect(await agent.disconnected).toBe('ROOM_CLOSED');
});

test('dialOut and receiveCall throw when LiveKit would reject the phone', async () => {
  const { emulator } = await start();
  expect(() => emulator.dialOut('n'.repeat(257), { phoneNumber: '+1' })).toThrow('too long');
  expect(() =>
    emulator.receiveCall({ prefix: 'n'.repeat(256), callerNumber: '+1', calledNumber: '+2' }),
  ).toThrow('too long');
  await emulator.stop();
  expect(() => dial(emulator)).toThrow('stopped');
  expect(() => receive(emulator)).toThrow('stopped');
});
