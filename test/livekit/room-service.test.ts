import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { ListParticipantsResponse, ListRoomsResponse, type ParticipantInfo_Kind } from '@livekit/protocol';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { RoomRef } from '../../src/domain/room-event.ts';
import { createRoomService } from '../../src/livekit/room-service.ts';
import { splitAtFieldBoundaries } from '../../src/livekit/transport/field-stream.ts';
import { httpTransport } from '../../src/livekit/transport/twirp.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { RoomService } from '../../src/ports/livekit.ts';

const list = (count: number, metadata = '') =>
  new ListRoomsResponse({
    rooms: Array.from({ length: count }, (_, i) => ({
      name: `call-${i}`,
      sid: `RM_${i}`,
      creationTimeMs: 1_795_000_000_123n,
      metadata,
      enabledCodecs: [{ mime: 'audio/opus' }],
    })),
  });

/** Yields the bytes in chunks of `length` bytes. */
async function* cut(bytes: Uint8Array, length: number) {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function roomsIn(chunks: AsyncIterable<Uint8Array>) {
  const parts = await Array.fromAsync(splitAtFieldBoundaries(chunks));
  return parts.flatMap((part) => ListRoomsResponse.fromBinary(part).rooms);
}

/** Starts the server and returns a client of it. */
async function clientOf(server: Server): Promise<RoomService> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return createRoomService(
    httpTransport(
      { url: `http://127.0.0.1:${port}`, apiKey: 'k', apiSecret: 's'.repeat(32) },
      { clock: systemClock },
    ),
  );
}

/** A deadline later than the timeout of the test. */
const OPTIONS = { timeoutMs: 60_000, priority: 'reconcile' } as const;

/** Returns a client of a server with these responses. */
async function clientOfResponses(answer: (response: ServerResponse) => void): Promise<RoomService> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(response));
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return clientOf(server);
}

/** Lists the rooms of a server with this response. */
async function listRoomsFrom(answer: (response: ServerResponse) => void) {
  const rooms = await clientOfResponses(answer);
  const received: RoomRef[] = [];
  const outcome = await rooms.listRooms(async (part) => void received.push(...part), OPTIONS);
  return { outcome, received };
}

/**
 * Returns a client of a server that responds with raw text; null closes the connection.
 * @param respond takes the numbers of the connection and of its request, from 1
 */
async function clientOfRawResponses(respond: (connection: number, request: number) => string | null) {
  let connections = 0;
  const open = new Set<Socket>();
  const server = createTcpServer((socket) => {
    connections += 1;
    const connection = connections;
    let request = 0;
    open.add(socket);
    socket.on('error', () => {});
    socket.on('data', () => {
      request += 1;
      const response = respond(connection, request);
      if (response === null) socket.destroy();
      else socket.write(response);
    });
  });
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { rooms: await clientOf(server), connections: () => connections };
}

const PROTOBUF = { 'content-type': 'application/protobuf' };

test('a list of rooms is decoded completely wherever its chunks are cut', async () => {
  const complete = list(3, 'né');
  const bytes = complete.toBinary();
  for (let length = 1; length <= bytes.length; length += 1) {
    expect(await roomsIn(cut(bytes, length))).toEqual(complete.rooms);
  }
});

test('unknown fields of any type in a list of rooms are skipped', async () => {
  const { rooms } = list(1);
  const room = list(1).toBinary();
  const varint = [0x10, 0xff, 0x01];
  const fixed64 = [0x19, 1, 2, 3, 4, 5, 6, 7, 8];
  const fixed32 = [0x25, 1, 2, 3, 4];
  const bytes = Buffer.from([...varint, ...room, ...fixed64, ...fixed32]);
  for (let length = 1; length <= bytes.length; length += 1) {
    expect(await roomsIn(cut(bytes, length))).toEqual(rooms);
  }
});

test.each([
  ['ends within a field', list(2).toBinary().subarray(0, -1), /ends within a field/],
  [
    'is none',
    Buffer.from('<html>an error page of the proxy</html>'),
    /illegal tag|wire type|ends within a field/,
  ],
  ['has a field of 5 MiB', list(1, 'x'.repeat(5 * 1024 * 1024)).toBinary(), /a field over 4 MiB/],
])('a list of rooms is refused when it %s', async (_, bytes, message) => {
  await expect(roomsIn(cut(bytes, 65_536))).rejects.toThrow(message);
});

test('a list of ten thousand rooms is decoded', async () => {
  const { outcome, received } = await listRoomsFrom((response) =>
    response.writeHead(200, PROTOBUF).end(list(10_000, 'a note').toBinary()),
  );
  expect(outcome).toEqual({ kind: 'listed' });
  expect(received).toHaveLength(10_000);
  expect(received.at(-1)).toEqual({
    name: 'call-9999',
    sid: 'RM_9999',
    createdAt: 1_795_000_000_123,
    metadata: 'a note',
  });
});

test('the connection closes at once when a response is not read to its end', async () => {
  let isClosed: Promise<unknown> | undefined;
  const { outcome } = await listRoomsFrom((response) => {
    isClosed = once(response, 'close');
    response.writeHead(200, { 'content-type': 'text/html' }).write('<html>');
  });
  expect(outcome).toMatchObject({ kind: 'unavailable', detail: 'the response is not protobuf' });
  // The deadline of the request is later than the timeout of the test.
  await isClosed;
});

test('an empty body is an empty list when it is a LiveKit response', async () => {
  const { outcome } = await listRoomsFrom((response) => response.writeHead(200, PROTOBUF).end());
  expect(outcome).toEqual({ kind: 'listed' });
});

const NOT_LISTED: [string, (response: ServerResponse) => void, object][] = [
  [
    'an empty response without a content type',
    (to) => to.writeHead(200).end(),
    { kind: 'unavailable', detail: 'the response is not protobuf' },
  ],
  [
    'JSON',
    (to) => to.writeHead(200, { 'content-type': 'application/json' }).end('{"rooms":[]}'),
    { kind: 'unavailable', detail: 'the response is not protobuf' },
  ],
  [
    'a truncated room',
    (to) => to.writeHead(200, PROTOBUF).end(list(2).toBinary().subarray(0, -3)),
    { kind: 'unavailable', detail: 'the response ends within a field' },
  ],
  [
    'a response shorter than its Content-Length',
    (to) => {
      const bytes = list(1).toBinary();
      to.writeHead(200, { ...PROTOBUF, 'content-length': bytes.length * 2 }).write(bytes, () => to.destroy());
    },
    { kind: 'unavailable', detail: 'the connection failed: aborted' },
  ],
  [
    'a Twirp error in JSON',
    (to) =>
      to
        .writeHead(401, { 'content-type': 'application/json' })
        .end(JSON.stringify({ code: 'unauthenticated', msg: 'permissions denied' })),
    { kind: 'refused', reason: 'credentials', code: 'unauthenticated' },
  ],
  [
    'not_found',
    (to) =>
      to
        .writeHead(404, { 'content-type': 'application/json' })
        .end(JSON.stringify({ code: 'not_found', msg: 'what?' })),
    { kind: 'refused', reason: 'request', code: 'not_found' },
  ],
];

test.each(NOT_LISTED)('%s is not accepted as a list of rooms', async (_, answer, expected) => {
  expect((await listRoomsFrom(answer)).outcome).toMatchObject(expected);
});

test('describeRoom gives its second request the rest of the deadline', async () => {
  const options = { timeoutMs: 500, priority: 'read' } as const;
  const sent: [method: string, timeoutMs: number][] = [];
  let now = 0;
  const clientWithLatency = (durationMs: number) =>
    createRoomService(
      async ({ method, timeoutMs }) => {
        sent.push([method, timeoutMs]);
        now += durationMs;
        return { kind: 'not_found' };
      },
      () => now,
    );
  expect(await clientWithLatency(413).describeRoom('r', options)).toMatchObject({
    status: { roomExists: false },
  });
  expect(sent.splice(0)).toEqual([
    ['ListParticipants', 500],
    ['ListRooms', 87],
  ]);
  expect(await clientWithLatency(500).describeRoom('r', options)).toEqual({
    kind: 'timed_out',
    detail: 'no response within 500 ms',
  });
  expect(sent).toEqual([['ListParticipants', 500]]);
});

const JSON_TYPE = { 'content-type': 'application/json' };
const UPGRADE = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n';
const DELETED =
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n{}';

test('a protocol upgrade counts as a failed request at once', async () => {
  const { rooms } = await clientOfRawResponses(() => UPGRADE);
  const expected = { kind: 'unavailable', detail: 'the response is a protocol upgrade (HTTP 101)' };
  expect(await rooms.deleteRoom('c1', OPTIONS)).toMatchObject(expected);
  expect(await rooms.listRooms(async () => {}, OPTIONS)).toMatchObject(expected);
});

test('a request is repeated when its kept-alive connection closes', async () => {
  const { rooms, connections } = await clientOfRawResponses((_, request) => (request === 1 ? DELETED : null));
  expect(await rooms.deleteRoom('c1', OPTIONS)).toEqual({ kind: 'deleted' });
  expect(await rooms.deleteRoom('c2', OPTIONS)).toEqual({ kind: 'deleted' });
  expect(connections()).toBe(2);
});

test('a request fails and is not repeated when its new connection closes', async () => {
  const { rooms, connections } = await clientOfRawResponses(() => null);
  expect(await rooms.deleteRoom('c1', OPTIONS)).toMatchObject({
    kind: 'unavailable',
    detail: 'the connection failed: socket hang up',
  });
  expect(connections()).toBe(1);
});

const NOT_DELETED: [string, (response: ServerResponse) => void, object][] = [
  [
    'an error in a 200',
    (to) => to.writeHead(200, JSON_TYPE).end('{"code":"internal","msg":"oh"}'),
    { kind: 'unavailable', detail: 'the response is an error with HTTP 200: internal' },
  ],
  [
    'an object whose content type is not JSON',
    (to) => to.writeHead(200, { 'content-type': 'text/html' }).end('{}'),
    { kind: 'unavailable', detail: 'the response is not JSON' },
  ],
  [
    'an endless response',
    (to) => {
      const writeMore = () => {
        while (!to.destroyed && to.write('x'.repeat(65_536)));
      };
      to.writeHead(200, JSON_TYPE).on('drain', writeMore);
      writeMore();
    },
    { kind: 'unavailable', detail: 'the response is over 4 MiB' },
  ],
  [
    'a not_found whose content type is not JSON',
    (to) => to.writeHead(404, { 'content-type': 'text/html' }).end('{"code":"not_found","msg":""}'),
    { kind: 'refused', reason: 'address' },
  ],
];

test.each(NOT_DELETED)('%s is not accepted as a deletion', async (_, answer, expected) => {
  const rooms = await clientOfResponses(answer);
  expect(await rooms.deleteRoom('c1', OPTIONS)).toMatchObject(expected);
});

test('a deletion is accepted with any charset', async () => {
  const rooms = await clientOfResponses((to) =>
    to.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end('{}'),
  );
  expect(await rooms.deleteRoom('c1', OPTIONS)).toEqual({ kind: 'deleted' });
});

test('a listed participant of an unknown kind is ignored', async () => {
  const participants = [
    { sid: 'PA_1', identity: 'future', kind: 99 as ParticipantInfo_Kind },
    { sid: 'PA_2', identity: 'present' },
  ];
  const body = new ListParticipantsResponse({ participants }).toBinary();
  const rooms = await clientOfResponses((response) => response.writeHead(200, PROTOBUF).end(body));
  expect(await rooms.listParticipants('r', OPTIONS)).toMatchObject({
    kind: 'listed',
    participants: [{ role: 'other' }, { role: 'person' }],
  });
  expect(await rooms.describeRoom('r', OPTIONS)).toMatchObject({
    status: { participants: [{ kind: '99' }, { kind: 'STANDARD' }] },
  });
});

test('a list of 3,000 participants, over 4 MiB, is decoded', async () => {
  const participants = Array.from({ length: 3_000 }, (_, i) => ({
    sid: `PA_${i}`,
    identity: `viewer-${i}`,
    metadata: 'x'.repeat(2_000),
  }));
  const body = new ListParticipantsResponse({ participants }).toBinary();
  expect(body.length).toBeGreaterThan(4 * 1024 * 1024);
  const rooms = await clientOfResponses((response) => response.writeHead(200, PROTOBUF).end(body));
  const listed = await rooms.listParticipants('r', OPTIONS);
  expect(listed.kind === 'listed' && listed.participants.length).toBe(3_000);
});
