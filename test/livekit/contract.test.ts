import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataPacket_Kind, ListRoomsResponse, SendDataRequest } from '@livekit/protocol';
import {
  AccessToken,
  type CreateOptions,
  type Room,
  RoomServiceClient,
  ServerError,
  type VideoGrant,
} from 'livekit-server-sdk';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { RoomRef } from '../../src/domain/room-event.ts';
import { createRoomService } from '../../src/livekit/room-service.ts';
import { httpTransport } from '../../src/livekit/transport/twirp.ts';
import {
  type LiveKitUnderTest,
  openWebhookInbox,
  type ReceivedWebhook,
  startEmulated,
  startLiveKit,
  startReal,
  type TestParticipant,
  type WebhookInbox,
} from '../harness/livekit.ts';
import { startRedis } from '../harness/redis.ts';

// What hangup relies on. Run it against a real server too: LIVEKIT_SERVER=/path/to/livekit-server.

let inbox: WebhookInbox;
let livekit: LiveKitUnderTest;
let client: RoomServiceClient;

beforeAll(async () => {
  inbox = await openWebhookInbox();
  livekit = await startLiveKit({ webhookUrls: [inbox.url] });
  client = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret);
}, 20_000);

afterAll(async () => {
  const refused = [...inbox.refused];
  await livekit.stop();
  await inbox.close();
  expect(refused).toEqual([]);
});

type Joining = NonNullable<Parameters<LiveKitUnderTest['join']>[2]>;

const newRoomName = () => `room-${randomUUID()}`;

/** As hangup reads them. */
async function listedRooms(server: LiveKitUnderTest): Promise<RoomRef[]> {
  const rooms: RoomRef[] = [];
  const asking = { timeoutMs: 5_000, priority: 'comparison' } as const;
  const outcome = await createRoomService(httpTransport(server)).listRooms(
    async (part) => void rooms.push(...part),
    asking,
  );
  expect(outcome).toEqual({ kind: 'listed' });
  return rooms;
}

/** The error that a request ends with; undefined when it succeeds. */
async function errorOf(request: Promise<unknown>): Promise<ServerError | undefined> {
  try {
    await request;
    return undefined;
  } catch (error) {
    if (error instanceof ServerError) return error;
    throw error;
  }
}

async function tokenWith(grant: VideoGrant | null, secret = livekit.apiSecret, apiKey = livekit.apiKey) {
  const token = new AccessToken(apiKey, secret, { ttl: 60 });
  if (grant !== null) token.addGrant(grant);
  return token.toJwt();
}

interface Posted {
  readonly method?: string;
  readonly contentType?: string;
  readonly token?: string;
  readonly authorization?: string;
}

async function post(path: string, body: string, { method, contentType, token, authorization }: Posted = {}) {
  const header = authorization ?? (token === undefined ? undefined : `Bearer ${token}`);
  const response = await fetch(new URL(path, livekit.url), {
    method: method ?? 'POST',
    headers: {
      'content-type': contentType ?? 'application/json',
      ...(header !== undefined && { authorization: header }),
    },
    ...(method !== 'GET' && { body }),
  });
  return {
    status: response.status,
    contentType: response.headers.get('content-type'),
    text: await response.text(),
  };
}

const rpc = (method: string) => `/twirp/livekit.RoomService/${method}`;

const REQUESTS = [
  ['CreateRoom', { name: 'x' }, { roomCreate: true }],
  ['DeleteRoom', { room: 'x' }, { roomCreate: true }],
  ['ListRooms', {}, { roomList: true }],
  ['ListParticipants', { room: 'x' }, { roomAdmin: true, room: 'x' }],
  ['GetParticipant', { room: 'x', identity: 'i' }, { roomAdmin: true, room: 'x' }],
  ['RemoveParticipant', { room: 'x', identity: 'i' }, { roomAdmin: true, room: 'x' }],
  ['SendData', { room: 'x' }, { roomAdmin: true, room: 'x' }],
] as const;

describe('credentials', () => {
  const refusal = { code: 'unauthenticated', msg: 'permissions denied' };

  test.each(REQUESTS)('%s without a token answers unauthenticated', async (method, body) => {
    const answer = await post(rpc(method), JSON.stringify(body));
    expect(answer).toMatchObject({ status: 401, contentType: 'application/json' });
    expect(JSON.parse(answer.text)).toEqual(refusal);
  });

  test.each(REQUESTS)('%s without its grant answers unauthenticated', async (method, body, grant) => {
    const others: VideoGrant[] = [
      { roomCreate: true },
      { roomList: true },
      { roomAdmin: true, room: 'another' },
      {},
    ];
    const wrong = others.filter(
      (other) => !Object.keys(grant).every((key) => key !== 'room' && key in other),
    );
    for (const other of wrong) {
      const answer = await post(rpc(method), JSON.stringify(body), { token: await tokenWith(other) });
      expect({ other, status: answer.status, body: JSON.parse(answer.text) }).toEqual({
        other,
        status: 401,
        body: refusal,
      });
    }
    expect(wrong.length).toBeGreaterThanOrEqual(3);
    const granted = await post(rpc(method), JSON.stringify(body), { token: await tokenWith(grant) });
    expect(granted.status).not.toBe(401);
  });

  test('a token without a video grant answers unauthenticated', async () => {
    const answer = await post(rpc('DeleteRoom'), '{"room":"x"}', { token: await tokenWith(null) });
    expect(JSON.parse(answer.text)).toEqual(refusal);
  });

  test('a token signed with another secret answers 401 in plain text that repeats the token', async () => {
    const token = await tokenWith({ roomCreate: true }, 'another-secret-another-secret-another');
    const answer = await post(rpc('DeleteRoom'), '{"room":"x"}', { token });
    expect(answer).toMatchObject({ status: 401, contentType: 'text/plain; charset=utf-8' });
    expect(answer.text.startsWith(`invalid token: ${token}, error: `)).toBe(true);
  });

  test('the SDK sees no Twirp code when the secret is wrong', async () => {
    const stranger = new RoomServiceClient(
      livekit.url,
      livekit.apiKey,
      'another-secret-another-secret-another',
    );
    const error = await errorOf(stranger.deleteRoom('x'));
    expect(error?.status).toBe(401);
    expect(error?.code).toBeUndefined();
  });

  test('an unknown API key answers 401', async () => {
    const token = await tokenWith({ roomCreate: true }, livekit.apiSecret, 'stranger');
    expect(await post(rpc('DeleteRoom'), '{"room":"x"}', { token })).toEqual({
      status: 401,
      contentType: 'text/plain; charset=utf-8',
      text: 'invalid API key: stranger',
    });
  });

  test.each([
    ['Bearer abc', 'invalid authorization token'],
    ['Basic abc', 'invalid authorization header. Must start with Bearer '],
    ['bearer abc', 'invalid authorization header. Must start with Bearer '],
  ])('the authorization "%s" answers 401 on any path', async (authorization, text) => {
    for (const path of [rpc('DeleteRoom'), rpc('Nope'), '/nope']) {
      expect(await post(path, '{"room":"x"}', { authorization })).toEqual({
        status: 401,
        contentType: 'text/plain; charset=utf-8',
        text,
      });
    }
  });

  test('an expired token answers 401', async () => {
    const token = new AccessToken(livekit.apiKey, livekit.apiSecret, { ttl: '-1h' });
    token.addGrant({ roomCreate: true });
    const answer = await post(rpc('DeleteRoom'), '{"room":"x"}', { token: await token.toJwt() });
    expect(answer).toMatchObject({ status: 401, contentType: 'text/plain; charset=utf-8' });
  });
});

describe('routing', () => {
  const badRoute = (msg: string, route: string) => ({
    code: 'bad_route',
    msg,
    meta: { twirp_invalid_route: route },
  });

  test.each([
    ['POST', 'application/json', 'Nope', 'no handler for path "/twirp/livekit.RoomService/Nope"'],
    ['POST', 'application/json', '', 'no handler for path "/twirp/livekit.RoomService/"'],
    ['GET', 'application/json', 'DeleteRoom', 'unsupported method "GET" (only POST is allowed)'],
    ['PUT', 'application/json', 'DeleteRoom', 'unsupported method "PUT" (only POST is allowed)'],
    ['POST', 'text/plain', 'DeleteRoom', 'unexpected Content-Type: "text/plain"'],
  ])(
    '%s %s %s answers bad_route, a 404 with another code than not_found',
    async (method, contentType, name, msg) => {
      const answer = await post(rpc(name), '{"room":"x"}', { method, contentType });
      expect(answer).toMatchObject({ status: 404, contentType: 'application/json' });
      expect(JSON.parse(answer.text)).toEqual(badRoute(msg, `${method} ${rpc(name)}`));
    },
  );

  test('a path outside the room service answers 404 in plain text', async () => {
    expect(await post('/nope', '{}')).toEqual({
      status: 404,
      contentType: 'text/plain; charset=utf-8',
      text: '404 page not found\n',
    });
  });

  test('the root answers 200', async () => {
    expect(await post('/', '', { method: 'GET' })).toMatchObject({ status: 200, text: 'OK' });
  });

  test.each(['', '{bad', '[]', 'null', '{"room":5}'])(
    'the body %j answers malformed, token or not',
    async (body) => {
      for (const posted of [{}, { token: await tokenWith({ roomCreate: true }) }]) {
        const answer = await post(rpc('DeleteRoom'), body, posted);
        expect(answer.status).toBe(400);
        expect(JSON.parse(answer.text)).toEqual({
          code: 'malformed',
          msg: 'the json request could not be decoded',
        });
      }
    },
  );

  test('a field that is unknown and one that is null do no harm', async () => {
    const token = await tokenWith({ roomCreate: true });
    const answer = await post(rpc('CreateRoom'), '{"name":"nulls","metadata":null,"foo":1}', { token });
    expect(answer.status).toBe(200);
    await client.deleteRoom('nulls');
  });

  test('a negative number answers malformed', async () => {
    const token = await tokenWith({ roomCreate: true });
    expect((await post(rpc('CreateRoom'), '{"name":"x","emptyTimeout":-1}', { token })).status).toBe(400);
  });
});

describe('rooms', () => {
  test('DeleteRoom of an absent room answers not_found', async () => {
    const error = await errorOf(client.deleteRoom(newRoomName()));
    expect(error).toMatchObject({
      status: 404,
      code: 'not_found',
      message: 'twirp error unknown: requested room does not exist',
    });
  });

  test('DeleteRoom at the same time from two sides answers the loser not_found or nothing', async () => {
    const room = newRoomName();
    await client.createRoom({ name: room });
    const errors = await Promise.all([errorOf(client.deleteRoom(room)), errorOf(client.deleteRoom(room))]);
    const codes = errors.map((error) => error?.code ?? 'ok');
    expect(codes).toContain('ok');
    expect(['ok', 'not_found']).toEqual(expect.arrayContaining(codes));
    expect(await livekit.roomNames()).not.toContain(room);
  });

  test('DeleteRoom disconnects every participant with ROOM_DELETED', async () => {
    const room = newRoomName();
    const caller = await livekit.join(room, 'caller');
    const agent = await livekit.join(room, 'agent');
    await client.deleteRoom(room);
    expect(await caller.disconnected).toBe('ROOM_DELETED');
    expect(await agent.disconnected).toBe('ROOM_DELETED');
    expect(await livekit.roomNames()).not.toContain(room);
    expect((await errorOf(client.deleteRoom(room)))?.code).toBe('not_found');
  });

  test('a participant who joins after the deletion makes a room with a new sid', async () => {
    const room = newRoomName();
    const first = await livekit.join(room, 'caller');
    const [before] = await client.listRooms([room]);
    await client.deleteRoom(room);
    await first.disconnected;
    await inbox.waitFor(room, ends);
    const second = await livekit.join(room, 'caller');
    const [after] = await client.listRooms([room]);
    expect(after?.sid).toMatch(/^RM_/);
    expect(after?.sid).not.toBe(before?.sid);
    await client.deleteRoom(room);
    expect(await second.disconnected).toBe('ROOM_DELETED');
  });

  test.each([
    ['one character', 'n'],
    ['256 characters', 'n'.repeat(256)],
    ['256 bytes of UTF-8', 'ö'.repeat(128)],
    ['slashes, spaces and a question mark', 'a/b/../c d?e=f#g'],
    ['an underscore and a plus', 'call-_+15557770001_RwD9s3s5uiTY'],
    ['emoji and another script', '📞 通話'],
  ])('a name of %s is created, listed and deleted', async (_, name) => {
    expect((await client.createRoom({ name })).name).toBe(name);
    expect((await client.listRooms([name])).map((room) => room.name)).toEqual([name]);
    expect(await client.listParticipants(name)).toEqual([]);
    await client.deleteRoom(name);
    expect(await client.listRooms([name])).toEqual([]);
  });

  test.each([
    ['257 characters', 'n'.repeat(257)],
    ['129 characters in 257 bytes of UTF-8', `${'ö'.repeat(128)}x`],
  ])('a name of %s is refused by CreateRoom and unknown to DeleteRoom', async (_, name) => {
    expect(await errorOf(client.createRoom({ name }))).toMatchObject({
      status: 400,
      code: 'invalid_argument',
      message: 'twirp error unknown: room name length exceeds limits: max length 256',
    });
    expect((await errorOf(client.deleteRoom(name)))?.code).toBe('not_found');
    expect(await client.listParticipants(name)).toEqual([]);
    expect(await client.listRooms([name])).toEqual([]);
  });

  test('an empty name is a room like any other', async () => {
    await client.createRoom({ name: '' });
    expect(await livekit.roomNames()).toContain('');
    await client.deleteRoom('');
    expect(await livekit.roomNames()).not.toContain('');
  });

  test('CreateRoom of a room that is there answers that room, unchanged', async () => {
    const name = newRoomName();
    const first = await client.createRoom({ name, metadata: 'one', emptyTimeout: 77 });
    const second = await client.createRoom({ name, metadata: 'two', emptyTimeout: 78, departureTimeout: 5 });
    expect(second).toMatchObject({
      sid: first.sid,
      metadata: 'one',
      emptyTimeout: 77,
      departureTimeout: 20,
      creationTimeMs: first.creationTimeMs,
    });
    await client.deleteRoom(name);
  });

  test('ListRooms lists every room, or those named', async () => {
    const [one, two] = [newRoomName(), newRoomName()];
    await client.createRoom({ name: one });
    await client.createRoom({ name: two });
    expect(await livekit.roomNames()).toEqual(expect.arrayContaining([one, two]));
    expect((await client.listRooms([one, one, 'absent'])).map(({ name }) => name)).toEqual([one]);
    expect(await client.listRooms(['absent'])).toEqual([]);
    await client.deleteRoom(one);
    await client.deleteRoom(two);
  });

  test('protobuf is answered in protobuf, and with the same', async () => {
    const name = newRoomName();
    await client.createRoom({ name, metadata: 'né' });
    const token = await tokenWith({ roomList: true });
    const ask = (body: Uint8Array<ArrayBuffer>) =>
      fetch(new URL(rpc('ListRooms'), livekit.url), {
        method: 'POST',
        headers: { 'content-type': 'application/protobuf', authorization: `Bearer ${token}` },
        body,
      });
    const answer = await ask(new Uint8Array());
    expect(answer.headers.get('content-type')).toBe('application/protobuf');
    const { rooms } = ListRoomsResponse.fromBinary(await answer.bytes());
    const [asJson] = await client.listRooms([name]);
    expect(rooms.find((room) => room.name === name)?.toJson()).toEqual(asJson?.toJson());
    expect(await listedRooms(livekit)).toContainEqual(
      expect.objectContaining({ name, sid: asJson?.sid, metadata: 'né' }),
    );
    await client.deleteRoom(name);

    const malformed = await ask(new Uint8Array([0x0a, 0x7f]));
    expect({ status: malformed.status, body: await malformed.json() }).toEqual({
      status: 400,
      body: { code: 'malformed', msg: 'the protobuf request could not be decoded' },
    });
  });

  test('answers spell their fields in snake_case, zero values included', async () => {
    const room = newRoomName();
    const person = await livekit.join(room, 'caller');
    const token = await tokenWith({ roomList: true, roomAdmin: true, room });
    const listed = await post(rpc('ListRooms'), JSON.stringify({ names: [room] }), { token });
    expect(JSON.parse(listed.text).rooms[0]).toMatchObject({
      sid: expect.stringMatching(/^RM_[A-Za-z0-9]{12}$/),
      name: room,
      empty_timeout: 300,
      departure_timeout: 20,
      max_participants: 0,
      creation_time: expect.stringMatching(/^\d{10}$/),
      creation_time_ms: expect.stringMatching(/^\d{13}$/),
      turn_password: expect.any(String),
      metadata: '',
      num_publishers: 0,
      active_recording: false,
    });
    const people = await post(rpc('ListParticipants'), JSON.stringify({ room }), { token });
    expect(JSON.parse(people.text).participants[0]).toMatchObject({
      sid: expect.stringMatching(/^PA_[A-Za-z0-9]{12}$/),
      identity: 'caller',
      tracks: [],
      metadata: '',
      joined_at: expect.stringMatching(/^\d{10}$/),
      joined_at_ms: expect.stringMatching(/^\d{13}$/),
      name: '',
      is_publisher: false,
      kind: 'STANDARD',
      attributes: {},
      disconnect_reason: 'UNKNOWN_REASON',
    });
    await client.deleteRoom(room);
    await person.disconnected;
  });
});

describe('participants', () => {
  test('ListParticipants of an absent room answers nobody', async () => {
    expect(await client.listParticipants(newRoomName())).toEqual([]);
  });

  test('ListParticipants lists who is there, and GetParticipant one of them', async () => {
    const room = newRoomName();
    await livekit.join(room, 'caller');
    const agent = await livekit.join(room, 'agent');
    const identities = async () =>
      new Set((await client.listParticipants(room)).map(({ identity }) => identity));
    expect(await identities()).toEqual(new Set(['agent', 'caller']));
    expect((await client.getParticipant(room, 'caller')).sid).toMatch(/^PA_/);
    await agent.leave();
    expect(await agent.disconnected).toBe('CLIENT_INITIATED');
    await inbox.waitFor(room, (webhooks) => names(webhooks).includes('participant_left'));
    expect(await identities()).toEqual(new Set(['caller']));
    await client.deleteRoom(room);
  });

  test.each(['an absent room', 'an absent participant'])(
    '%s answers not_found to GetParticipant and RemoveParticipant',
    async (what) => {
      const room = newRoomName();
      if (what === 'an absent participant') await client.createRoom({ name: room });
      const absent = {
        status: 404,
        code: 'not_found',
        message: 'twirp error unknown: participant does not exist',
      };
      expect(await errorOf(client.getParticipant(room, 'nobody'))).toMatchObject(absent);
      expect(await errorOf(client.removeParticipant(room, 'nobody'))).toMatchObject(absent);
      await errorOf(client.deleteRoom(room));
    },
  );

  test('RemoveParticipant disconnects one with PARTICIPANT_REMOVED and leaves the room', async () => {
    const room = newRoomName();
    const person = await livekit.join(room, 'caller');
    await client.removeParticipant(room, 'caller');
    expect(await person.disconnected).toBe('PARTICIPANT_REMOVED');
    expect(await livekit.roomNames()).toContain(room);
    await client.deleteRoom(room);
  });

  test('the same identity joining again ends the first with DUPLICATE_IDENTITY', async () => {
    const room = newRoomName();
    const first = await livekit.join(room, 'caller');
    const second = await livekit.join(room, 'caller');
    expect(await first.disconnected).toBe('DUPLICATE_IDENTITY');
    const webhooks = await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === 2);
    expect(names(webhooks)).toEqual([
      'room_started',
      'participant_joined',
      'participant_left',
      'participant_joined',
    ]);
    expect(bodyOf(webhooks[2]).participant?.disconnectReason).toBe('DUPLICATE_IDENTITY');
    await client.deleteRoom(room);
    expect(await second.disconnected).toBe('ROOM_DELETED');
  });
});

describe('roles', () => {
  // LiveKit's IsDependent decides.
  test.concurrent.each<{ who: string; joining: Joining; outcome: 'closes' | 'stays' }>([
    { who: 'an agent', joining: { kind: 'agent' }, outcome: 'closes' },
    { who: 'a recorder', joining: { kind: 'egress' }, outcome: 'closes' },
    { who: 'a bot with the grant agent', joining: { permission: { agent: true } }, outcome: 'closes' },
    {
      who: 'a hidden bot with the grant recorder',
      joining: { permission: { hidden: true, recorder: true } },
      outcome: 'closes',
    },
    { who: 'a hidden participant', joining: { permission: { hidden: true } }, outcome: 'stays' },
    { who: 'a listener', joining: { permission: { canPublish: false } }, outcome: 'stays' },
    { who: 'a stream', joining: { kind: 'ingress' }, outcome: 'stays' },
    { who: 'a connector', joining: { kind: 'connector' }, outcome: 'stays' },
    { who: 'a bridge', joining: { kind: 'bridge' }, outcome: 'stays' },
    { who: 'a phone', joining: { kind: 'sip' }, outcome: 'stays' },
  ])('a room in which only $who remains $outcome', { timeout: 20_000 }, async ({ joining, outcome }) => {
    const room = newRoomName();
    await client.createRoom({ name: room, departureTimeout: 1 });
    const person = await livekit.join(room, 'person');
    const other = await livekit.join(room, 'other', joining);
    await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === 2);
    await person.leave();
    if (outcome === 'closes') {
      expect(await other.disconnected).toBe('ROOM_CLOSED');
      expect(await livekit.roomNames()).not.toContain(room);
      return;
    }
    // Past the departure time-out: a room that stays sends nothing.
    await sleep(4_000);
    expect((await client.listParticipants(room)).map(({ identity }) => identity)).toEqual(['other']);
    await client.deleteRoom(room);
    expect(await other.disconnected).toBe('ROOM_DELETED');
  });

  test('webhooks and ListParticipants report kind and permission as the token grants them', async () => {
    const room = newRoomName();
    const may = { canSubscribe: true, canPublish: true, canPublishData: true };
    const granted: Record<string, { joining: Joining; kind?: string; permission: object }> = {
      bot: { joining: { permission: { agent: true } }, permission: { ...may, agent: true } },
      listener: { joining: { permission: { hidden: true } }, permission: { ...may, hidden: true } },
      recorder: { joining: { permission: { recorder: true } }, permission: { ...may, recorder: true } },
      silent: { joining: { permission: { canPublish: false } }, permission: { canSubscribe: true } },
      connector: { joining: { kind: 'connector' }, kind: 'CONNECTOR', permission: may },
      bridge: { joining: { kind: 'bridge' }, kind: 'BRIDGE', permission: may },
    };
    for (const [identity, { joining }] of Object.entries(granted))
      await livekit.join(room, identity, joining);
    const count = Object.keys(granted).length;
    const webhooks = await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === count);
    const told = webhooks.map(bodyOf).flatMap(({ participant }) => participant ?? []);
    const listed = (await client.listParticipants(room)).map((info) => info.toJson());
    for (const [identity, { kind, permission }] of Object.entries(granted)) {
      const expected = { identity, permission, ...(kind !== undefined && { kind }) };
      const byIdentity = expect.objectContaining(expected);
      expect({ told, listed }).toEqual({
        told: expect.arrayContaining([byIdentity]),
        listed: expect.arrayContaining([byIdentity]),
      });
    }
    await client.deleteRoom(room);
  });

  test('the count of participants leaves dependent ones out and has hidden ones in it', async () => {
    const room = newRoomName();
    await livekit.join(room, 'person');
    await livekit.join(room, 'listener', { permission: { hidden: true } });
    await livekit.join(room, 'bot', { permission: { agent: true } });
    await livekit.join(room, 'recorder', { permission: { recorder: true } });
    // LiveKit counts every five seconds.
    const count = async () => (await client.listRooms([room]))[0]?.numParticipants;
    await expect.poll(count, { timeout: 15_000 }).toBe(2);
    await client.deleteRoom(room);
  });
});

describe('SendData', () => {
  const admin = (room: string) => tokenWith({ roomAdmin: true, room });
  const send = async (room: string, body: object = {}) =>
    post(rpc('SendData'), JSON.stringify({ room, ...body }), { token: await admin(room) });

  test.each<[string, object]>([
    ['nothing', {}],
    ['a topic, a kind and base64', { data: 'aGk=', kind: 'LOSSY', topic: 'hangup' }],
    ['base64 for URLs, unpadded', { data: '_-8' }],
    ['a kind that LiveKit does not have', { kind: 'TELEPATHIC' }],
    ['the number of such a kind', { kind: 99 }],
    ['sixteen bytes of nonce', { nonce: Buffer.alloc(16).toString('base64') }],
  ])('to a living room with %s answers an empty object', async (_, body) => {
    const name = newRoomName();
    await client.createRoom({ name });
    expect(await send(name, body)).toEqual({ status: 200, contentType: 'application/json', text: '{}' });
    await client.deleteRoom(name);
  });

  test('answers protobuf in protobuf', async () => {
    const name = newRoomName();
    await client.createRoom({ name });
    const response = await fetch(new URL(rpc('SendData'), livekit.url), {
      method: 'POST',
      headers: { 'content-type': 'application/protobuf', authorization: `Bearer ${await admin(name)}` },
      body: new Uint8Array(new SendDataRequest({ room: name, data: new Uint8Array([1, 2]) }).toBinary()),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/protobuf');
    expect(await response.bytes()).toHaveLength(0);
    await client.deleteRoom(name);
  });

  test.each([{ data: '!!!' }, { data: 5 }, { kind: true }, { nonce: [] }])(
    'of %j answers malformed',
    async (body) => {
      const answer = await send(newRoomName(), body);
      expect({ status: answer.status, body: JSON.parse(answer.text) }).toMatchObject({
        status: 400,
        body: { code: 'malformed' },
      });
    },
  );

  test('with a nonce of another length answers invalid_argument', async () => {
    const answer = await send(newRoomName(), { nonce: 'aGk=' });
    expect({ status: answer.status, body: JSON.parse(answer.text) }).toEqual({
      status: 400,
      body: {
        code: 'invalid_argument',
        msg: 'nonce should be 16-bytes or not present, got: 2 bytes',
      },
    });
  });

  test('to an absent room answers unavailable, as for a dead node', async () => {
    const answer = await send(newRoomName());
    expect({ status: answer.status, body: JSON.parse(answer.text) }).toEqual({
      status: 503,
      body: { code: 'unavailable', msg: 'twirp error unknown: no response from servers' },
    });
  });
});

describe('a dead node', () => {
  const unavailable = {
    status: 503,
    code: 'unavailable',
    message: 'twirp error unknown: no response from servers',
  };

  interface Node {
    readonly client: RoomServiceClient;
    join(roomName: string, identity: string): Promise<TestParticipant>;
    /** The node dies, and another one serves the API at the same address. Nobody comes back by itself. */
    die(): Promise<void>;
  }

  /** What nodes have in common is their Redis. */
  async function startNode(): Promise<Node> {
    const binary = process.env.LIVEKIT_SERVER;
    if (!binary) {
      const { emulator, ...node } = await startEmulated({ webhookUrls: [inbox.url] });
      onTestFinished(() => node.stop());
      return { client: clientOf(node), join: node.join, die: async () => emulator.killNode() };
    }
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const node = await startReal(binary, { webhookUrls: [inbox.url], redisAddress: redis.address });
    onTestFinished(() => node.stop());
    const joined: TestParticipant[] = [];
    return {
      client: clientOf(node),
      async join(roomName, identity) {
        const participant = await node.join(roomName, identity);
        joined.push(participant);
        return participant;
      },
      async die() {
        await node.kill();
        await Promise.all(joined.map((participant) => participant.leave()));
        await node.start();
      },
    };
  }

  const clientOf = ({ url, apiKey, apiSecret }: LiveKitUnderTest) =>
    new RoomServiceClient(url, apiKey, apiSecret, { requestTimeout: 10, failover: false });

  /** LiveKit hands a room over once the last heartbeat of its node is 5 s old; until then CreateRoom fails too. */
  async function takeOver(client: RoomServiceClient, options: CreateOptions): Promise<Room> {
    const giveUpAt = Date.now() + 15_000;
    for (;;) {
      try {
        return await client.createRoom(options);
      } catch (error) {
        if (Date.now() > giveUpAt) throw error;
        expect(error).toMatchObject(unavailable);
      }
    }
  }

  /** A room with two participants, before its node died and after. */
  async function startWithDeadRoom() {
    const node = await startNode();
    const room = newRoomName();
    await node.join(room, 'caller');
    await node.join(room, 'agent');
    await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === 2);
    const [before] = await node.client.listRooms([room]);
    await node.die();
    const sids = async () =>
      Object.fromEntries(
        (await node.client.listParticipants(room)).map(({ identity, sid }) => [identity, sid]),
      );
    const send = () => node.client.sendData(room, new Uint8Array(), DataPacket_Kind.LOSSY, {});
    return { ...node, room, before, sids, send };
  }

  test('leaves its rooms listed with their participants, and answers nothing else about them', async () => {
    const { client, room, before, sids, send } = await startWithDeadRoom();
    expect((await client.listRooms([room])).map(({ sid }) => sid)).toEqual([before?.sid]);
    const { caller, agent } = await sids();
    expect([caller, agent]).toEqual([expect.stringMatching(/^PA_/), expect.stringMatching(/^PA_/)]);
    expect((await client.getParticipant(room, 'caller')).sid).toBe(caller);
    expect(await errorOf(send())).toMatchObject(unavailable);
    expect(await errorOf(client.removeParticipant(room, 'caller'))).toMatchObject(unavailable);
    expect(await errorOf(client.deleteRoom(room))).toMatchObject(unavailable);
    expect(await sids()).toEqual({ caller, agent });
    expect(names(inbox.of(room))).toEqual(['room_started', 'participant_joined', 'participant_joined']);
  });

  test('loses its room to another one by CreateRoom, which gives the room what it asks for', async () => {
    const { client, room, before, sids, send } = await startWithDeadRoom();
    const listed = await sids();
    const asked = { name: room, emptyTimeout: 200, metadata: 'taken over' };
    const taken = await takeOver(client, asked);
    expect(taken).toMatchObject({ sid: before?.sid, emptyTimeout: 200, metadata: 'taken over' });
    expect(taken.creationTimeMs).toBe(before?.creationTimeMs);
    expect(await errorOf(send())).toBeUndefined();
    // Nobody is in it, and LiveKit goes on listing them.
    expect(await sids()).toEqual(listed);
    expect(await errorOf(client.deleteRoom(room))).toBeUndefined();
    expect(await sids()).toEqual({});
    const webhooks = await inbox.waitFor(room, ends);
    expect(names(webhooks).slice(3)).toEqual(['room_started', 'room_finished']);
    expect(new Set(webhooks.map((webhook) => bodyOf(webhook).room.sid))).toEqual(new Set([before?.sid]));
  });

  test('loses its room to another one by a participant, who replaces nobody but itself', async () => {
    const { client, room, before, sids, send, join } = await startWithDeadRoom();
    const listed = await sids();
    const again = await join(room, 'caller');
    expect((await client.listRooms([room])).map(({ sid }) => sid)).toEqual([before?.sid]);
    const now = await sids();
    expect(now).toEqual({ caller: expect.stringMatching(/^PA_/), agent: listed.agent });
    expect(now.caller).not.toBe(listed.caller);
    expect(await errorOf(send())).toBeUndefined();
    await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === 3);
    await again.leave();
    const webhooks = await inbox.waitFor(room, (all) => countOf(all, 'participant_left') === 1);
    expect(names(webhooks).slice(3)).toEqual(['room_started', 'participant_joined', 'participant_left']);
    expect(await sids()).toEqual({ agent: listed.agent });
    await client.deleteRoom(room);
  });

  test('whose room is older than its emptyTimeout: the room closes once it is taken over', async () => {
    const { client, room } = await startWithDeadRoom();
    await sleep(1_100);
    await takeOver(client, { name: room, emptyTimeout: 1 });
    expect(names(await inbox.waitFor(room, ends)).slice(3)).toEqual(['room_started', 'room_finished']);
    expect(await client.listParticipants(room)).toEqual([]);
  });
});

const names = (webhooks: readonly ReceivedWebhook[]): string[] => webhooks.map(({ event }) => event.event);
const countOf = (webhooks: readonly ReceivedWebhook[], name: string) =>
  names(webhooks).filter((one) => one === name).length;
const ends = (webhooks: readonly ReceivedWebhook[]) => names(webhooks).includes('room_finished');

const WebhookBody = z.looseObject({
  id: z.string().regex(/^EV_[A-Za-z0-9]{12}$/),
  createdAt: z.string().regex(/^\d{10}$/),
  room: z.looseObject({ sid: z.string().regex(/^RM_/), name: z.string() }),
  participant: z.looseObject({ identity: z.string(), disconnectReason: z.string().optional() }).optional(),
});
const bodyOf = (webhook: ReceivedWebhook | undefined) => WebhookBody.parse(JSON.parse(webhook?.body ?? '{}'));

describe('webhooks', () => {
  test('join, leave and deletion with two participants come in order', async () => {
    const room = newRoomName();
    const caller = await livekit.join(room, 'caller');
    await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === 1);
    await livekit.join(room, 'agent');
    await livekit.join(room, 'supervisor');
    await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === 3);
    await caller.leave();
    await inbox.waitFor(room, (all) => countOf(all, 'participant_left') === 1);
    await client.deleteRoom(room);
    const webhooks = await inbox.waitFor(room, ends);

    expect(names(webhooks)).toEqual([
      'room_started',
      'participant_joined',
      'participant_joined',
      'participant_joined',
      'participant_left',
      'participant_left',
      'participant_left',
      'room_finished',
    ]);
    const bodies = webhooks.map(bodyOf);
    expect(new Set(bodies.map(({ id }) => id)).size).toBe(8);
    expect(new Set(bodies.map((body) => body.room.sid)).size).toBe(1);
    expect(bodies[4]?.participant).toMatchObject({
      identity: 'caller',
      state: 'DISCONNECTED',
      disconnectReason: 'CLIENT_INITIATED',
    });
    const deleted = bodies.slice(5, 7).map(({ participant }) => participant);
    expect(new Set(deleted.map((one) => one?.identity))).toEqual(new Set(['agent', 'supervisor']));
    expect(deleted.map((one) => one?.disconnectReason)).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
  });

  test('an event has the headers and the JSON that the webhook door is made for', async () => {
    const room = newRoomName();
    await livekit.join(room, 'caller');
    const [started, joined] = await inbox.waitFor(room, (all) => all.length === 2);
    expect(started?.headers['content-type']).toBe('application/webhook+json');
    expect(started?.headers.authorization).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    const lifetime = Number(claimOf(started, 'exp')) - Number(claimOf(started, 'nbf'));
    expect(lifetime).toBe(300);
    expect(claimOf(started, 'iss')).toBe(livekit.apiKey);

    expect(bodyOf(started).room).toMatchObject({
      name: room,
      emptyTimeout: 300,
      departureTimeout: 20,
      creationTime: expect.stringMatching(/^\d{10}$/),
      creationTimeMs: expect.stringMatching(/^\d{13}$/),
      turnPassword: expect.any(String),
    });
    expect(bodyOf(started)).not.toHaveProperty('participant');
    for (const zero of ['metadata', 'numParticipants', 'maxParticipants', 'activeRecording']) {
      expect(bodyOf(started).room).not.toHaveProperty(zero);
    }
    expect(bodyOf(joined).participant).toMatchObject({
      sid: expect.stringMatching(/^PA_/),
      identity: 'caller',
      state: 'ACTIVE',
      joinedAt: expect.stringMatching(/^\d{10}$/),
      joinedAtMs: expect.stringMatching(/^\d{13}$/),
      permission: { canSubscribe: true, canPublish: true, canPublishData: true },
    });
    for (const zero of ['kind', 'disconnectReason', 'isPublisher', 'tracks', 'name']) {
      expect(bodyOf(joined).participant).not.toHaveProperty(zero);
    }
    await client.deleteRoom(room);
  });

  test('a room that nobody joined begins and finishes', async () => {
    const name = newRoomName();
    await client.createRoom({ name });
    await client.createRoom({ name });
    await client.deleteRoom(name);
    expect(names(await inbox.waitFor(name, ends))).toEqual(['room_started', 'room_finished']);
  });

  test('a room that nobody joins finishes after its emptyTimeout', { timeout: 15_000 }, async () => {
    const name = newRoomName();
    await client.createRoom({ name, emptyTimeout: 1 });
    expect(names(await inbox.waitFor(name, ends))).toEqual(['room_started', 'room_finished']);
    expect(await livekit.roomNames()).not.toContain(name);
  });

  test('a room that all have left finishes after its departureTimeout', { timeout: 15_000 }, async () => {
    const name = newRoomName();
    await client.createRoom({ name, departureTimeout: 1 });
    const person = await livekit.join(name, 'caller');
    await inbox.waitFor(name, (all) => countOf(all, 'participant_joined') === 1);
    await person.leave();
    expect(names(await inbox.waitFor(name, ends))).toEqual([
      'room_started',
      'participant_joined',
      'participant_left',
      'room_finished',
    ]);
    expect(await livekit.roomNames()).not.toContain(name);
  });

  test.concurrent.each([503, 500, 429])(
    'a receiver answering %i gets the same event again, and then the next one',
    { timeout: 15_000 },
    async (status) => {
      const name = newRoomName();
      inbox.answerNext(name, status, status);
      await client.createRoom({ name });
      await client.deleteRoom(name);
      const webhooks = await inbox.waitFor(name, ends);
      expect(names(webhooks)).toEqual(['room_started', 'room_started', 'room_started', 'room_finished']);
      expect(webhooks.map((webhook) => webhook.status)).toEqual([status, status, 200, 200]);
      const bodies = webhooks.map(({ body }) => body);
      expect(bodies[1]).toBe(bodies[0]);
      expect(bodies[2]).toBe(bodies[0]);
      expect(bodyOf(webhooks[3]).id).not.toBe(bodyOf(webhooks[0]).id);
      const [first, second, third] = webhooks.map(({ receivedAtMs }) => receivedAtMs);
      // LiveKit's 1 s and 2 s, with room for a coarse clock.
      expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(950);
      expect((third ?? 0) - (second ?? 0)).toBeGreaterThanOrEqual(1_950);
    },
  );

  test.each([401, 400, 404, 302, 501])('a receiver answering %i has had its event', async (status) => {
    const name = newRoomName();
    inbox.answerNext(name, status);
    await client.createRoom({ name });
    await client.deleteRoom(name);
    // In order, so that a second room_started would have come before the end.
    const webhooks = await inbox.waitFor(name, ends);
    expect(names(webhooks)).toEqual(['room_started', 'room_finished']);
    expect(webhooks[0]?.status).toBe(status);
  });
});

function claimOf(webhook: ReceivedWebhook | undefined, claim: string): unknown {
  const payload = String(webhook?.headers.authorization).split('.')[1] ?? '';
  return JSON.parse(Buffer.from(payload, 'base64url').toString())[claim];
}
