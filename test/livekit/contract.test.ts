import { randomUUID } from 'node:crypto';
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
import { systemClock } from '../../src/platform/clock.ts';
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

/*
 * The behaviour of LiveKit that hangup depends on. The tests run on the emulator; if LIVEKIT_SERVER is set to the path of
 * a livekit-server binary, they run on a real server.
 */

let inbox: WebhookInbox;
let livekit: LiveKitUnderTest;
let client: RoomServiceClient;

beforeAll(async () => {
  inbox = await openWebhookInbox();
  livekit = await startLiveKit({ webhookUrls: [inbox.url] });
  client = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret);
});

afterAll(async () => {
  const unverified = [...inbox.refused];
  await livekit.stop();
  await inbox.close();
  expect(unverified).toEqual([]);
});

type JoinOptions = NonNullable<Parameters<LiveKitUnderTest['join']>[2]>;

const newRoomName = () => `room-${randomUUID()}`;

/** The rooms as hangup's client reads them. */
async function listedRooms(server: LiveKitUnderTest): Promise<RoomRef[]> {
  const rooms: RoomRef[] = [];
  const options = { timeoutMs: 5_000, priority: 'reconcile' } as const;
  const outcome = await createRoomService(httpTransport(server, { clock: systemClock })).listRooms(
    async (page) => void rooms.push(...page),
    options,
  );
  expect(outcome).toEqual({ kind: 'listed' });
  return rooms;
}

/** The error of a request; undefined if the request succeeds. */
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

interface PostOptions {
  readonly method?: string;
  readonly contentType?: string;
  readonly token?: string;
  readonly authorization?: string;
}

async function post(
  path: string,
  body: string,
  { method, contentType, token, authorization }: PostOptions = {},
) {
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
  const unauthenticated = { code: 'unauthenticated', msg: 'permissions denied' };

  test.each(REQUESTS)('%s returns unauthenticated without a token', async (method, body) => {
    const response = await post(rpc(method), JSON.stringify(body));
    expect(response).toMatchObject({ status: 401, contentType: 'application/json' });
    expect(JSON.parse(response.text)).toEqual(unauthenticated);
  });

  test.each(REQUESTS)('%s returns unauthenticated without its grant', async (method, body, grant) => {
    const others: VideoGrant[] = [
      { roomCreate: true },
      { roomList: true },
      { roomAdmin: true, room: 'another' },
      {},
    ];
    const insufficient = others.filter(
      (other) => !Object.keys(grant).every((key) => key !== 'room' && key in other),
    );
    for (const other of insufficient) {
      const response = await post(rpc(method), JSON.stringify(body), { token: await tokenWith(other) });
      expect({ other, status: response.status, body: JSON.parse(response.text) }).toEqual({
        other,
        status: 401,
        body: unauthenticated,
      });
    }
    expect(insufficient.length).toBeGreaterThanOrEqual(3);
    const granted = await post(rpc(method), JSON.stringify(body), { token: await tokenWith(grant) });
    expect(granted.status).not.toBe(401);
  });

  test('DeleteRoom returns unauthenticated when the token has no video grant', async () => {
    const response = await post(rpc('DeleteRoom'), '{"room":"x"}', { token: await tokenWith(null) });
    expect(JSON.parse(response.text)).toEqual(unauthenticated);
  });

  test('a token signed with another secret gets a 401 in plain text that contains the token', async () => {
    const token = await tokenWith({ roomCreate: true }, 'another-secret-another-secret-another');
    const response = await post(rpc('DeleteRoom'), '{"room":"x"}', { token });
    expect(response).toMatchObject({ status: 401, contentType: 'text/plain; charset=utf-8' });
    expect(response.text.startsWith(`invalid token: ${token}, error: `)).toBe(true);
  });

  test('the SDK reports no Twirp code when the secret is wrong', async () => {
    const stranger = new RoomServiceClient(
      livekit.url,
      livekit.apiKey,
      'another-secret-another-secret-another',
    );
    const error = await errorOf(stranger.deleteRoom('x'));
    expect(error?.status).toBe(401);
    expect(error?.code).toBeUndefined();
  });

  test('a token of an unknown API key gets a 401', async () => {
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
  ])('the authorization "%s" gets a 401 on any path', async (authorization, text) => {
    for (const path of [rpc('DeleteRoom'), rpc('Nope'), '/nope']) {
      expect(await post(path, '{"room":"x"}', { authorization })).toEqual({
        status: 401,
        contentType: 'text/plain; charset=utf-8',
        text,
      });
    }
  });

  test('an expired token gets a 401', async () => {
    const token = new AccessToken(livekit.apiKey, livekit.apiSecret, { ttl: '-1h' });
    token.addGrant({ roomCreate: true });
    const response = await post(rpc('DeleteRoom'), '{"room":"x"}', { token: await token.toJwt() });
    expect(response).toMatchObject({ status: 401, contentType: 'text/plain; charset=utf-8' });
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
    '%s %s %s returns bad_route, a 404 with a different code than not_found',
    async (method, contentType, name, msg) => {
      const response = await post(rpc(name), '{"room":"x"}', { method, contentType });
      expect(response).toMatchObject({ status: 404, contentType: 'application/json' });
      expect(JSON.parse(response.text)).toEqual(badRoute(msg, `${method} ${rpc(name)}`));
    },
  );

  test('a path outside the room service returns 404 in plain text', async () => {
    expect(await post('/nope', '{}')).toEqual({
      status: 404,
      contentType: 'text/plain; charset=utf-8',
      text: '404 page not found\n',
    });
  });

  test('the root path returns 200', async () => {
    expect(await post('/', '', { method: 'GET' })).toMatchObject({ status: 200, text: 'OK' });
  });

  test.each(['', '{bad', '[]', 'null', '{"room":5}'])(
    'the body %j is malformed, with and without a token',
    async (body) => {
      for (const options of [{}, { token: await tokenWith({ roomCreate: true }) }]) {
        const response = await post(rpc('DeleteRoom'), body, options);
        expect(response.status).toBe(400);
        expect(JSON.parse(response.text)).toEqual({
          code: 'malformed',
          msg: 'the json request could not be decoded',
        });
      }
    },
  );

  test('CreateRoom ignores unknown fields and null', async () => {
    const token = await tokenWith({ roomCreate: true });
    const response = await post(rpc('CreateRoom'), '{"name":"nulls","metadata":null,"foo":1}', { token });
    expect(response.status).toBe(200);
    await client.deleteRoom('nulls');
  });

  test('a negative number is malformed', async () => {
    const token = await tokenWith({ roomCreate: true });
    expect((await post(rpc('CreateRoom'), '{"name":"x","emptyTimeout":-1}', { token })).status).toBe(400);
  });
});

describe('rooms', () => {
  test('DeleteRoom of an absent room returns not_found', async () => {
    const error = await errorOf(client.deleteRoom(newRoomName()));
    expect(error).toMatchObject({
      status: 404,
      code: 'not_found',
      message: 'twirp error unknown: requested room does not exist',
    });
  });

  /*
   * A real server handles a deletion in the room's own RPC handler, which ends with the room. The losing request may find
   * the room absent (not_found), be handled too (success), or find no handler: unavailable after about three seconds.
   */
  test('of two concurrent DeleteRoom requests one succeeds, and the other succeeds or returns not_found or unavailable', async () => {
    const room = newRoomName();
    await client.createRoom({ name: room });
    const errors = await Promise.all([errorOf(client.deleteRoom(room)), errorOf(client.deleteRoom(room))]);
    const codes = errors.map((error) => error?.code ?? 'ok');
    expect(codes).toContain('ok');
    expect(['ok', 'not_found', 'unavailable']).toEqual(expect.arrayContaining(codes));
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

  test('a participant who joins after the deletion creates a room with a new sid', async () => {
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
  ])('a room with a name of %s can be created, listed and deleted', async (_, name) => {
    expect((await client.createRoom({ name })).name).toBe(name);
    expect((await client.listRooms([name])).map((room) => room.name)).toEqual([name]);
    expect(await client.listParticipants(name)).toEqual([]);
    await client.deleteRoom(name);
    expect(await client.listRooms([name])).toEqual([]);
  });

  test.each([
    ['257 characters', 'n'.repeat(257)],
    ['129 characters in 257 bytes of UTF-8', `${'ö'.repeat(128)}x`],
  ])('CreateRoom rejects a name of %s, and DeleteRoom returns not_found', async (_, name) => {
    expect(await errorOf(client.createRoom({ name }))).toMatchObject({
      status: 400,
      code: 'invalid_argument',
      message: 'twirp error unknown: room name length exceeds limits: max length 256',
    });
    expect((await errorOf(client.deleteRoom(name)))?.code).toBe('not_found');
    expect(await client.listParticipants(name)).toEqual([]);
    expect(await client.listRooms([name])).toEqual([]);
  });

  test('a room with an empty name can be created, listed and deleted', async () => {
    await client.createRoom({ name: '' });
    expect(await livekit.roomNames()).toContain('');
    await client.deleteRoom('');
    expect(await livekit.roomNames()).not.toContain('');
  });

  test('CreateRoom returns an existing room unchanged', async () => {
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

  test('ListRooms lists all rooms, or the rooms with the given names', async () => {
    const [first, second] = [newRoomName(), newRoomName()];
    await client.createRoom({ name: first });
    await client.createRoom({ name: second });
    expect(await livekit.roomNames()).toEqual(expect.arrayContaining([first, second]));
    expect((await client.listRooms([first, first, 'absent'])).map(({ name }) => name)).toEqual([first]);
    expect(await client.listRooms(['absent'])).toEqual([]);
    await client.deleteRoom(first);
    await client.deleteRoom(second);
  });

  test('ListRooms returns the same rooms in protobuf and in JSON', async () => {
    const name = newRoomName();
    await client.createRoom({ name, metadata: 'né' });
    const token = await tokenWith({ roomList: true });
    const send = (body: Uint8Array<ArrayBuffer>) =>
      fetch(new URL(rpc('ListRooms'), livekit.url), {
        method: 'POST',
        headers: { 'content-type': 'application/protobuf', authorization: `Bearer ${token}` },
        body,
      });
    const response = await send(new Uint8Array());
    expect(response.headers.get('content-type')).toBe('application/protobuf');
    const { rooms } = ListRoomsResponse.fromBinary(await response.bytes());
    const [asJson] = await client.listRooms([name]);
    expect(rooms.find((room) => room.name === name)?.toJson()).toEqual(asJson?.toJson());
    expect(await listedRooms(livekit)).toContainEqual(
      expect.objectContaining({ name, sid: asJson?.sid, metadata: 'né' }),
    );
    await client.deleteRoom(name);

    const malformed = await send(new Uint8Array([0x0a, 0x7f]));
    expect({ status: malformed.status, body: await malformed.json() }).toEqual({
      status: 400,
      body: { code: 'malformed', msg: 'the protobuf request could not be decoded' },
    });
  });

  test('JSON responses use snake_case and include zero values', async () => {
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
    const participants = await post(rpc('ListParticipants'), JSON.stringify({ room }), { token });
    expect(JSON.parse(participants.text).participants[0]).toMatchObject({
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
  test('ListParticipants of an absent room returns an empty list', async () => {
    expect(await client.listParticipants(newRoomName())).toEqual([]);
  });

  test('ListParticipants lists the present participants, and GetParticipant returns one of them', async () => {
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
    'GetParticipant and RemoveParticipant return not_found for %s',
    async (target) => {
      const room = newRoomName();
      if (target === 'an absent participant') await client.createRoom({ name: room });
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

  test('RemoveParticipant disconnects the participant with PARTICIPANT_REMOVED, and the room stays', async () => {
    const room = newRoomName();
    const person = await livekit.join(room, 'caller');
    await client.removeParticipant(room, 'caller');
    expect(await person.disconnected).toBe('PARTICIPANT_REMOVED');
    expect(await livekit.roomNames()).toContain(room);
    await client.deleteRoom(room);
  });

  test('a second participant with the same identity replaces the first with DUPLICATE_IDENTITY', async () => {
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
  // LiveKit's IsDependent makes this decision.
  test.concurrent.each<{ participant: string; joining: JoinOptions; outcome: 'closes' | 'stays' }>([
    { participant: 'an agent', joining: { kind: 'agent' }, outcome: 'closes' },
    { participant: 'a recorder', joining: { kind: 'egress' }, outcome: 'closes' },
    {
      participant: 'a bot with the grant agent',
      joining: { permission: { agent: true } },
      outcome: 'closes',
    },
    {
      participant: 'a hidden bot with the grant recorder',
      joining: { permission: { hidden: true, recorder: true } },
      outcome: 'closes',
    },
    { participant: 'a hidden participant', joining: { permission: { hidden: true } }, outcome: 'stays' },
    { participant: 'a listener', joining: { permission: { canPublish: false } }, outcome: 'stays' },
    { participant: 'a stream', joining: { kind: 'ingress' }, outcome: 'stays' },
    { participant: 'a connector', joining: { kind: 'connector' }, outcome: 'stays' },
    { participant: 'a bridge', joining: { kind: 'bridge' }, outcome: 'stays' },
    { participant: 'a phone', joining: { kind: 'sip' }, outcome: 'stays' },
  ])('a room $outcome when only $participant remains', async ({ joining, outcome }) => {
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
    await closeControlRoom();
    expect((await client.listParticipants(room)).map(({ identity }) => identity)).toEqual(['other']);
    await client.deleteRoom(room);
    expect(await other.disconnected).toBe('ROOM_DELETED');
  });

  /** Waits until another room with a longer departure timeout has closed. A room that was left earlier had time to close. */
  async function closeControlRoom(): Promise<void> {
    const room = newRoomName();
    await client.createRoom({ name: room, departureTimeout: 2 });
    const participant = await livekit.join(room, 'person');
    await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === 1);
    await participant.leave();
    await inbox.waitFor(room, ends);
  }

  test('webhooks and ListParticipants contain the kind and the permissions of the token', async () => {
    const room = newRoomName();
    const media = { canSubscribe: true, canPublish: true, canPublishData: true };
    const granted: Record<string, { joining: JoinOptions; kind?: string; permission: object }> = {
      bot: { joining: { permission: { agent: true } }, permission: { ...media, agent: true } },
      listener: { joining: { permission: { hidden: true } }, permission: { ...media, hidden: true } },
      recorder: { joining: { permission: { recorder: true } }, permission: { ...media, recorder: true } },
      silent: { joining: { permission: { canPublish: false } }, permission: { canSubscribe: true } },
      connector: { joining: { kind: 'connector' }, kind: 'CONNECTOR', permission: media },
      bridge: { joining: { kind: 'bridge' }, kind: 'BRIDGE', permission: media },
    };
    for (const [identity, { joining }] of Object.entries(granted))
      await livekit.join(room, identity, joining);
    const count = Object.keys(granted).length;
    const webhooks = await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === count);
    const delivered = webhooks.map(bodyOf).flatMap(({ participant }) => participant ?? []);
    const listed = (await client.listParticipants(room)).map((info) => info.toJson());
    for (const [identity, { kind, permission }] of Object.entries(granted)) {
      const expected = { identity, permission, ...(kind !== undefined && { kind }) };
      const byIdentity = expect.objectContaining(expected);
      expect({ delivered, listed }).toEqual({
        delivered: expect.arrayContaining([byIdentity]),
        listed: expect.arrayContaining([byIdentity]),
      });
    }
    await client.deleteRoom(room);
  });

  test('the count of participants omits dependent participants and includes hidden ones', async () => {
    const room = newRoomName();
    await livekit.join(room, 'person');
    await livekit.join(room, 'listener', { permission: { hidden: true } });
    await livekit.join(room, 'bot', { permission: { agent: true } });
    await livekit.join(room, 'recorder', { permission: { recorder: true } });
    // LiveKit updates the count every five seconds.
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
    ['no data', {}],
    ['a topic, a kind and base64', { data: 'aGk=', kind: 'LOSSY', topic: 'hangup' }],
    ['base64 for URLs, unpadded', { data: '_-8' }],
    ['an undefined kind', { kind: 'TELEPATHIC' }],
    ['the number of an undefined kind', { kind: 99 }],
    ['a nonce of 16 bytes', { nonce: Buffer.alloc(16).toString('base64') }],
  ])('SendData with %s returns an empty object', async (_, body) => {
    const name = newRoomName();
    await client.createRoom({ name });
    expect(await send(name, body)).toEqual({ status: 200, contentType: 'application/json', text: '{}' });
    await client.deleteRoom(name);
  });

  test('SendData returns protobuf to a protobuf request', async () => {
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
    'SendData with %j is malformed',
    async (body) => {
      const response = await send(newRoomName(), body);
      expect({ status: response.status, body: JSON.parse(response.text) }).toMatchObject({
        status: 400,
        body: { code: 'malformed' },
      });
    },
  );

  test('SendData with a nonce of another length returns invalid_argument', async () => {
    const response = await send(newRoomName(), { nonce: 'aGk=' });
    expect({ status: response.status, body: JSON.parse(response.text) }).toEqual({
      status: 400,
      body: {
        code: 'invalid_argument',
        msg: 'nonce should be 16-bytes or not present, got: 2 bytes',
      },
    });
  });

  test('SendData to an absent room returns unavailable, as for a dead node', async () => {
    const response = await send(newRoomName());
    expect({ status: response.status, body: JSON.parse(response.text) }).toEqual({
      status: 503,
      body: { code: 'unavailable', msg: 'twirp error unknown: no response from servers' },
    });
  });
});

describe('rooms of a dead node', () => {
  const unavailable = {
    status: 503,
    code: 'unavailable',
    message: 'twirp error unknown: no response from servers',
  };

  interface Node {
    readonly client: RoomServiceClient;
    join(roomName: string, identity: string): Promise<TestParticipant>;
    /** Kills the node, and starts another node at the same address. No participant reconnects. */
    die(): Promise<void>;
  }

  /** Real nodes share a Redis. */
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

  /** Retries CreateRoom: LiveKit moves a room to another node 5 s after the last heartbeat of the dead node. */
  async function takeOver(client: RoomServiceClient, options: CreateOptions): Promise<Room> {
    const deadline = Date.now() + 15_000;
    for (;;) {
      try {
        return await client.createRoom(options);
      } catch (error) {
        if (Date.now() > deadline) throw error;
        expect(error).toMatchObject(unavailable);
      }
    }
  }

  /** Starts a node, and kills the node of a room with two participants. */
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

  test('stay listed with their participants, and every other request returns unavailable', async () => {
    const { client, room, before, sids, send } = await startWithDeadRoom();
    expect((await client.listRooms([room])).map(({ sid }) => sid)).toEqual([before?.sid]);
    const { caller, agent } = await sids();
    expect([caller, agent]).toEqual([expect.stringMatching(/^PA_/), expect.stringMatching(/^PA_/)]);
    expect((await client.getParticipant(room, 'caller')).sid).toBe(caller);
    expect(await errorOf(send())).toMatchObject(unavailable);
    expect(await errorOf(client.removeParticipant(room, 'caller'))).toMatchObject(unavailable);
    expect(await errorOf(client.deleteRoom(room))).toMatchObject(unavailable);
    expect(await sids()).toEqual({ caller, agent });
    expect(names(inbox.webhooksOf(room))).toEqual([
      'room_started',
      'participant_joined',
      'participant_joined',
    ]);
  });

  test('move to a living node by CreateRoom, and receive the options of the request', async () => {
    const { client, room, before, sids, send } = await startWithDeadRoom();
    const listed = await sids();
    const options = { name: room, emptyTimeout: 200, metadata: 'taken over' };
    const taken = await takeOver(client, options);
    expect(taken).toMatchObject({ sid: before?.sid, emptyTimeout: 200, metadata: 'taken over' });
    expect(taken.creationTimeMs).toBe(before?.creationTimeMs);
    expect(await errorOf(send())).toBeUndefined();
    // The room is empty, but LiveKit still lists the old participants.
    expect(await sids()).toEqual(listed);
    expect(await errorOf(client.deleteRoom(room))).toBeUndefined();
    expect(await sids()).toEqual({});
    const webhooks = await inbox.waitFor(room, ends);
    expect(names(webhooks).slice(3)).toEqual(['room_started', 'room_finished']);
    expect(new Set(webhooks.map((webhook) => bodyOf(webhook).room.sid))).toEqual(new Set([before?.sid]));
  });

  test('move to a living node when a participant joins, who replaces only its own entry', async () => {
    const { client, room, before, sids, send, join } = await startWithDeadRoom();
    const listed = await sids();
    const rejoined = await join(room, 'caller');
    expect((await client.listRooms([room])).map(({ sid }) => sid)).toEqual([before?.sid]);
    const current = await sids();
    expect(current).toEqual({ caller: expect.stringMatching(/^PA_/), agent: listed.agent });
    expect(current.caller).not.toBe(listed.caller);
    expect(await errorOf(send())).toBeUndefined();
    await inbox.waitFor(room, (all) => countOf(all, 'participant_joined') === 3);
    await rejoined.leave();
    const webhooks = await inbox.waitFor(room, (all) => countOf(all, 'participant_left') === 1);
    expect(names(webhooks).slice(3)).toEqual(['room_started', 'participant_joined', 'participant_left']);
    expect(await sids()).toEqual({ agent: listed.agent });
    await client.deleteRoom(room);
  });

  test('close after the move to a living node when they are older than their emptyTimeout', async () => {
    const { client, room, before } = await startWithDeadRoom();
    const ageMs = () => Date.now() - Number(before?.creationTimeMs);
    await expect.poll(ageMs, { timeout: 5_000 }).toBeGreaterThan(1_000);
    await takeOver(client, { name: room, emptyTimeout: 1 });
    expect(names(await inbox.waitFor(room, ends)).slice(3)).toEqual(['room_started', 'room_finished']);
    expect(await client.listParticipants(room)).toEqual([]);
  });
});

const names = (webhooks: readonly ReceivedWebhook[]): string[] => webhooks.map(({ event }) => event.event);
const countOf = (webhooks: readonly ReceivedWebhook[], name: string) =>
  names(webhooks).filter((event) => event === name).length;
const ends = (webhooks: readonly ReceivedWebhook[]) => names(webhooks).includes('room_finished');

const WebhookBody = z.looseObject({
  id: z.string().regex(/^EV_[A-Za-z0-9]{12}$/),
  createdAt: z.string().regex(/^\d{10}$/),
  room: z.looseObject({ sid: z.string().regex(/^RM_/), name: z.string() }),
  participant: z.looseObject({ identity: z.string(), disconnectReason: z.string().optional() }).optional(),
});
const bodyOf = (webhook: ReceivedWebhook | undefined) => WebhookBody.parse(JSON.parse(webhook?.body ?? '{}'));

describe('webhooks', () => {
  test('LiveKit sends join, leave and deletion in order', async () => {
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
    expect(new Set(deleted.map((participant) => participant?.identity))).toEqual(
      new Set(['agent', 'supervisor']),
    );
    expect(deleted.map((participant) => participant?.disconnectReason)).toEqual([
      'ROOM_DELETED',
      'ROOM_DELETED',
    ]);
  });

  test('a webhook has the headers and the JSON that the webhook endpoint expects', async () => {
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

  test('an empty room sends room_started and room_finished', async () => {
    const name = newRoomName();
    await client.createRoom({ name });
    await client.createRoom({ name });
    await client.deleteRoom(name);
    expect(names(await inbox.waitFor(name, ends))).toEqual(['room_started', 'room_finished']);
  });

  test('an empty room finishes after its emptyTimeout', async () => {
    const name = newRoomName();
    await client.createRoom({ name, emptyTimeout: 1 });
    expect(names(await inbox.waitFor(name, ends))).toEqual(['room_started', 'room_finished']);
    expect(await livekit.roomNames()).not.toContain(name);
  });

  test('a room finishes after its departureTimeout when all participants have left', async () => {
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
    'LiveKit retries an event after a %i, before the next event',
    async (status) => {
      const name = newRoomName();
      inbox.respondNext(name, status, status);
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
      // LiveKit's delays are 1 s and 2 s; the margin is for timer resolution.
      expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(950);
      expect((third ?? 0) - (second ?? 0)).toBeGreaterThanOrEqual(1_950);
    },
  );

  test.each([401, 400, 404, 302, 501])('LiveKit does not retry an event after a %i', async (status) => {
    const name = newRoomName();
    inbox.respondNext(name, status);
    await client.createRoom({ name });
    await client.deleteRoom(name);
    // Webhooks arrive in order: a second room_started would arrive before room_finished.
    const webhooks = await inbox.waitFor(name, ends);
    expect(names(webhooks)).toEqual(['room_started', 'room_finished']);
    expect(webhooks[0]?.status).toBe(status);
  });
});

function claimOf(webhook: ReceivedWebhook | undefined, claim: string): unknown {
  const payload = String(webhook?.headers.authorization).split('.')[1] ?? '';
  return JSON.parse(Buffer.from(payload, 'base64url').toString())[claim];
}
