import { ListParticipantsResponse } from '@livekit/protocol';
import { AccessToken, RoomServiceClient } from 'livekit-server-sdk';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type Emulator,
  type EmulatorOptions,
  type ParticipantOptions,
  startEmulator,
} from '../../src/emulator/emulator.ts';
import { SYSTEM_ENVIRONMENT } from '../../src/emulator/environment.ts';
import { API_KEY, API_SECRET, openWebhookInbox, type ReceivedWebhook } from '../harness/livekit.ts';

/* Features of the emulator beyond the contract: faults of LiveKit that a test cannot cause on a real server. */

async function start(options: Partial<EmulatorOptions> = {}) {
  const inbox = await openWebhookInbox();
  const emulator = await startEmulator({
    apiKey: API_KEY,
    apiSecret: API_SECRET,
    webhookUrls: [inbox.url],
    ...options,
  });
  onTestFinished(async () => {
    await emulator.stop();
    await inbox.close();
  });
  const client = new RoomServiceClient(emulator.url, API_KEY, API_SECRET, {
    requestTimeout: 10,
    failover: false,
  });
  const webhooksOf = async (roomName: string) => {
    await emulator.webhooksDelivered(roomName);
    return inbox.webhooksOf(roomName);
  };
  const attributesOf = async (roomName: string, identity: string) =>
    (await client.getParticipant(roomName, identity)).attributes;
  return { emulator, client, webhooksOf, attributesOf };
}

const names = (webhooks: readonly ReceivedWebhook[]): string[] => webhooks.map(({ event }) => event.event);
const byText = (a: string, b: string) => a.localeCompare(b);
const identitiesIn = async (client: RoomServiceClient, roomName: string) =>
  (await client.listParticipants(roomName)).map(({ identity }) => identity).sort(byText);

async function callRoomService(
  emulator: Emulator,
  method: string,
  contentType: string,
  body: { readonly room: string; readonly identity?: string } | Uint8Array<ArrayBuffer>,
) {
  const token = new AccessToken(API_KEY, API_SECRET, { ttl: 60 });
  const room = body instanceof Uint8Array ? 'r' : body.room;
  token.addGrant({ roomAdmin: true, room, roomCreate: true });
  return fetch(new URL(`/twirp/livekit.RoomService/${method}`, emulator.url), {
    method: 'POST',
    headers: { 'content-type': contentType, authorization: `Bearer ${await token.toJwt()}` },
    body: body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

test('webhooks and both encodings of ListParticipants contain an undefined participant kind as a number', async () => {
  const { emulator, webhooksOf } = await start();
  emulator.join('r', { identity: 'hologram', kind: 99 });
  const joined = (await webhooksOf('r')).find(({ event }) => event.event === 'participant_joined');
  expect(JSON.parse(joined?.body ?? '').participant).toMatchObject({ identity: 'hologram', kind: 99 });
  expect(joined?.event.participant?.kind).toBe(99);

  const asJson = await callRoomService(emulator, 'ListParticipants', 'application/json', { room: 'r' });
  expect(await asJson.json()).toMatchObject({ participants: [{ identity: 'hologram', kind: 99 }] });
  const request = new Uint8Array([0x0a, 1, 'r'.charCodeAt(0)]);
  const asProtobuf = await callRoomService(emulator, 'ListParticipants', 'application/protobuf', request);
  const { participants } = ListParticipantsResponse.fromBinary(await asProtobuf.bytes());
  expect(participants).toMatchObject([{ identity: 'hologram', kind: 99 }]);
});

test.each<[string, ParticipantOptions, object]>([
  ['a phone may update its metadata', { identity: 'p', kind: 'SIP' }, { canUpdateMetadata: true }],
  ['an agent has the agent grant', { identity: 'p', kind: 'AGENT' }, { agent: true }],
  [
    'the data grant equals canPublish',
    { identity: 'p', permission: { canPublish: false } },
    { canPublish: false, canPublishData: false, canSubscribe: true },
  ],
  [
    'a given grant overrides the grant of the kind',
    { identity: 'p', kind: 'AGENT', permission: { agent: false, hidden: true } },
    { agent: false, hidden: true, canPublish: true },
  ],
])('%s by default', async (_, options, permission) => {
  const { emulator, client } = await start();
  emulator.join('r', options);
  expect((await client.getParticipant('r', 'p')).permission).toMatchObject(permission);
});

test('two phones in a room ring, answer and leave independently', async () => {
  const { emulator, client, webhooksOf, attributesOf } = await start();
  const first = emulator.dialOut('r', { identity: 'first', phoneNumber: '+15550100' });
  const second = emulator.dialOut('r', { identity: 'second', phoneNumber: '+15550101' });
  first.ring();
  second.ring();
  first.answer();
  expect(await attributesOf('r', 'first')).toMatchObject({
    'sip.callStatus': 'active',
    'sip.phoneNumber': '+15550100',
  });
  expect(await attributesOf('r', 'second')).toMatchObject({
    'sip.callStatus': 'ringing',
    'sip.phoneNumber': '+15550101',
  });
  second.busy();
  expect(await second.disconnected).toBe('USER_REJECTED');
  expect(await identitiesIn(client, 'r')).toEqual(['first']);
  const left = (await webhooksOf('r')).filter(({ event }) => event.event === 'participant_left');
  expect(left.map(({ event }) => event.participant?.identity)).toEqual(['second']);
});

test('a phone has the status automation while livekit-sip sends DTMF after the answer, then active', async () => {
  const { emulator, attributesOf } = await start();
  const phone = emulator.dialOut('r', { phoneNumber: '+15550100' });
  phone.ring();
  phone.startAutomation();
  const automation = await attributesOf('r', 'phone');
  expect(automation).toMatchObject({ 'sip.callStatus': 'automation', 'sip.callTag': expect.any(String) });
  for (const before of ['ring', 'startAutomation', 'busy'] as const) {
    expect(() => phone[before]()).toThrow('already answered');
  }
  phone.answer();
  expect(await attributesOf('r', 'phone')).toEqual({ ...automation, 'sip.callStatus': 'active' });
  phone.hangUp();
  expect(await phone.disconnected).toBe('CLIENT_INITIATED');
});

const incoming = { callerNumber: '+15550111', calledNumber: '+15550199', activeAfterMs: 20 };

test('a direct dispatch rule assigns its room to every call', async () => {
  const { emulator, client, webhooksOf } = await start();
  const first = emulator.receiveCall({ ...incoming, rule: 'direct', roomName: 'front-desk' });
  const [room] = await client.listRooms(['front-desk']);
  const second = emulator.receiveCall({
    ...incoming,
    callerNumber: '+15550122',
    rule: 'direct',
    roomName: 'front-desk',
    roomMetadata: 'ignored',
  });
  expect([first.roomName, second.roomName]).toEqual(['front-desk', 'front-desk']);
  expect(await identitiesIn(client, 'front-desk')).toEqual(['sip_+15550111', 'sip_+15550122']);
  expect((await client.listRooms(['front-desk']))[0]).toMatchObject({ sid: room?.sid, metadata: '' });
  expect(names(await webhooksOf('front-desk')).filter((name) => name === 'room_started')).toHaveLength(1);
  // The room stays open when its first caller leaves.
  first.hangUp();
  expect(await identitiesIn(client, 'front-desk')).toEqual(['sip_+15550122']);
});

test('a callee dispatch rule names the room after the called number', async () => {
  const { emulator } = await start();
  const receive = (callerNumber: string, prefix?: string) =>
    emulator.receiveCall({
      ...incoming,
      callerNumber,
      rule: 'callee',
      ...(prefix !== undefined && { prefix }),
    });
  expect(receive('+15550111', 'desk').roomName).toBe('desk_+15550199');
  expect(receive('+15550122', 'desk').roomName).toBe('desk_+15550199');
  expect(receive('+15550111').roomName).toBe('+15550199');
  expect(new Set(emulator.roomNames())).toEqual(new Set(['+15550199', 'desk_+15550199']));
});

test('an individual dispatch rule assigns a new room to each call', async () => {
  const { emulator } = await start();
  const rooms = [1, 2].map(() => emulator.receiveCall({ ...incoming, prefix: 'call-' }).roomName);
  for (const room of rooms) expect(room).toMatch(/^call-_\+15550111_[A-Za-z0-9]{12}$/);
  expect(rooms[0]).not.toBe(rooms[1]);
});

test('an inbound call becomes active after the delay when a participant already publishes audio', async () => {
  const { emulator, attributesOf } = await start();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const agent = emulator.join('front-desk', { identity: 'agent', kind: 'AGENT' });
  const silent = emulator.receiveCall({ ...incoming, rule: 'direct', roomName: 'silent' });
  agent.publishAudio();
  const phone = emulator.receiveCall({ ...incoming, rule: 'direct', roomName: 'front-desk' });
  const statusOf = async ({ roomName, identity }: typeof phone) =>
    (await attributesOf(roomName, identity))['sip.callStatus'];
  expect(await statusOf(phone)).toBe('ringing');
  vi.advanceTimersByTime(incoming.activeAfterMs);
  expect(await statusOf(phone)).toBe('active');
  expect(await statusOf(silent)).toBe('ringing');
});

test('an aborted connection sends participant_connection_aborted instead of participant_left', async () => {
  const { emulator, client, webhooksOf } = await start();
  const phone = emulator.dialOut('r', { phoneNumber: '+15550100', isTrunkListening: false });
  phone.abort('STATE_MISMATCH');
  phone.abort();
  expect(await phone.disconnected).toBe('STATE_MISMATCH');
  emulator.join('r', { identity: 'another' }).abort();
  expect(await identitiesIn(client, 'r')).toEqual([]);
  const webhooks = await webhooksOf('r');
  expect(names(webhooks)).toEqual([
    'room_started',
    'participant_joined',
    'participant_connection_aborted',
    'participant_joined',
    'participant_connection_aborted',
  ]);
  const reasons = webhooks.map(({ body }) => JSON.parse(body).participant?.disconnectReason);
  expect(reasons.filter((reason) => reason !== undefined)).toEqual(['STATE_MISMATCH', 'JOIN_FAILURE']);
});

test('a migrating participant sends participant_left and stays in the room with the same sid', async () => {
  const { emulator, client, webhooksOf } = await start();
  const person = emulator.join('r', { identity: 'person' });
  person.publishAudio();
  const before = await client.getParticipant('r', 'person');
  person.migrate();
  expect((await client.getParticipant('r', 'person')).toJson()).toEqual(before.toJson());
  const webhooks = await webhooksOf('r');
  expect(names(webhooks)).toEqual([
    'room_started',
    'participant_joined',
    'track_published',
    'participant_left',
  ]);
  expect(JSON.parse(webhooks.at(-1)?.body ?? '').participant).toMatchObject({
    sid: person.sid,
    state: 'DISCONNECTED',
    disconnectReason: 'MIGRATION',
  });
  // The participant is still connected.
  person.leave();
  expect(await person.disconnected).toBe('CLIENT_INITIATED');
});

test('ListRooms omits an unlisted room, which stays open', async () => {
  const { emulator, client } = await start();
  emulator.join('r', { identity: 'person' });
  emulator.join('other', { identity: 'person' });
  const listed = async (names?: string[]) =>
    (await client.listRooms(names)).map(({ name }) => name).sort(byText);
  emulator.unlistRoom('r');
  expect(await listed()).toEqual(['other']);
  expect(await listed(['r'])).toEqual([]);
  expect(emulator.roomNames()).toContain('r');
  expect(await identitiesIn(client, 'r')).toEqual(['person']);
  emulator.relistRoom('r');
  expect(await listed()).toEqual(['other', 'r']);
  expect(await listed(['r'])).toEqual(['r']);
  emulator.unlistRoom('r');
  await client.deleteRoom('r');
  expect(emulator.roomNames()).toEqual(['other']);
});

test('matching webhooks are dropped until the returned function is called', async () => {
  const { emulator, client, webhooksOf } = await start();
  const person = emulator.join('r', { identity: 'person' });
  const restoreLeft = emulator.dropWebhooks(({ event }) => event === 'participant_left');
  const restoreAgent = emulator.dropWebhooks(({ participant }) => participant?.identity === 'agent');
  person.leave();
  emulator.join('r', { identity: 'agent', kind: 'AGENT' });
  expect(await identitiesIn(client, 'r')).toEqual(['agent']);
  restoreLeft();
  emulator.join('r', { identity: 'another' }).leave();
  restoreAgent();
  restoreAgent();
  await client.removeParticipant('r', 'agent');
  const delivered = (await webhooksOf('r')).map(
    ({ event }) => `${event.event} ${event.participant?.identity ?? ''}`,
  );
  expect(delivered).toEqual([
    'room_started ',
    'participant_joined person',
    'participant_joined another',
    'participant_left another',
    'participant_left agent',
  ]);
});

test.each([
  ['SendData', 'r'],
  ['SendData', 'absent'],
  ['RemoveParticipant', 'r'],
  ['DeleteRoom', 'r'],
])('%s for the room %j returns unavailable after the delay', async (method, room) => {
  const delayMs = 1_234;
  const { setTimer } = SYSTEM_ENVIRONMENT;
  const delayOver = Promise.withResolvers<() => void>();
  const timers = vi.spyOn(SYSTEM_ENVIRONMENT, 'setTimer').mockImplementation((ms, run) => {
    if (ms !== delayMs) return setTimer(ms, run);
    delayOver.resolve(run);
    return () => {};
  });
  onTestFinished(() => timers.mockRestore());
  const { emulator } = await start({ deadNodeDelayMs: delayMs });
  emulator.join('r', { identity: 'person' });
  emulator.killNode();
  const order: string[] = [];
  const body = { room, identity: 'person' };
  const response = callRoomService(emulator, method, 'application/json', body).then(({ status }) => {
    order.push(`response ${status}`);
  });
  const endDelay = await delayOver.promise;
  // A response that does not wait for the timer arrives before the next response of the emulator.
  await fetch(emulator.url);
  order.push('end of the delay');
  endDelay();
  await response;
  expect(order).toEqual(['end of the delay', 'response 503']);
});

test('methods of participants on a dead node have no effect', async () => {
  const { emulator, client, webhooksOf } = await start({ deadNodeDelayMs: 1 });
  const person = emulator.join('r', { identity: 'person' });
  const phone = emulator.dialOut('r', { phoneNumber: '+15550100' });
  phone.ring();
  emulator.killNode();
  phone.answer();
  person.publishAudio();
  person.leave();
  phone.migrate();
  expect(await identitiesIn(client, 'r')).toEqual(['person', 'phone']);
  expect((await client.getParticipant('r', 'phone')).attributes).toMatchObject({
    'sip.callStatus': 'ringing',
  });
  expect(names(await webhooksOf('r'))).toEqual([
    'room_started',
    'participant_joined',
    'participant_joined',
    'track_published',
  ]);
});

test('a room on a dead node keeps its last count of participants', async () => {
  const { emulator, client } = await start();
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  emulator.join('r', { identity: 'person' });
  const countLater = async () => {
    vi.setSystemTime(Date.now() + 5_000);
    return (await client.listRooms(['r']))[0]?.numParticipants;
  };
  expect(await countLater()).toBe(1);
  emulator.killNode();
  expect(await countLater()).toBe(1);
  emulator.join('r', { identity: 'agent', kind: 'AGENT' });
  expect(await countLater()).toBe(0);
});

test('a room on a dead node ignores its timeouts until it moves to a living node', async () => {
  const { emulator } = await start();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  onTestFinished(() => void vi.useRealTimers());
  emulator.join('r', { identity: 'person' }).leave();
  emulator.killNode();
  vi.advanceTimersByTime(3_600_000);
  expect(emulator.roomNames()).toEqual(['r']);
  // The room is older than its emptyTimeout, and only an agent joins.
  const agent = emulator.join('r', { identity: 'agent', kind: 'AGENT' });
  vi.advanceTimersByTime(0);
  expect(await agent.disconnected).toBe('ROOM_CLOSED');
  expect(emulator.roomNames()).toEqual([]);
});

test('closeIdleRoom closes a room only when no participant keeps the room open', async () => {
  const { emulator, webhooksOf } = await start();
  const person = emulator.join('r', { identity: 'person' });
  const agent = emulator.join('r', { identity: 'agent', kind: 'AGENT' });
  expect(emulator.closeIdleRoom('r')).toBe(false);
  person.leave();
  expect(emulator.closeIdleRoom('r')).toBe(true);
  expect(await agent.disconnected).toBe('ROOM_CLOSED');
  expect(emulator.roomNames()).toEqual([]);
  expect(names(await webhooksOf('r')).slice(-2)).toEqual(['participant_left', 'room_finished']);
  expect(emulator.closeIdleRoom('r')).toBe(true);
});

test('ListParticipants returns participants in random order', async () => {
  const { emulator, client } = await start();
  for (let i = 0; i < 8; i += 1) emulator.join('r', { identity: `p-${i}` });
  const orders = new Set<string>();
  // The probability of 20 equal orders of eight participants is below 1 in 10^80.
  for (let i = 0; i < 20; i += 1) {
    const listed = (await client.listParticipants('r')).map(({ identity }) => identity);
    orders.add(listed.join());
    expect(listed.toSorted(byText)).toEqual(Array.from({ length: 8 }, (_, index) => `p-${index}`));
  }
  expect(orders.size).toBeGreaterThan(1);
});
