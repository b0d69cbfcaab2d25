import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { ListRoomsResponse } from '@livekit/protocol';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { EventRoom } from '../../src/domain/room-event.ts';
import { inWholeFields } from '../../src/livekit/protobuf.ts';
import { livekitRooms } from '../../src/livekit/rooms.ts';

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

/** Cut into chunks of so many bytes. */
async function* cut(bytes: Uint8Array, length: number) {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function roomsIn(chunks: AsyncIterable<Uint8Array>) {
  const parts = await Array.fromAsync(inWholeFields(chunks));
  return parts.flatMap((part) => ListRoomsResponse.fromBinary(part).rooms);
}

/** All that a server which answers so lists. */
async function listedBy(answer: (response: ServerResponse) => void) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(response));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = z.object({ port: z.number() }).parse(server.address());
  const rooms = livekitRooms({ url: `http://127.0.0.1:${port}`, apiKey: 'k', apiSecret: 's'.repeat(32) });
  const taken: EventRoom[] = [];
  const asking = { timeoutMs: 60_000, priority: 'comparison' } as const;
  const outcome = await rooms.listRooms(async (part) => void taken.push(...part), asking);
  return { outcome, taken };
}

const PROTOBUF = { 'content-type': 'application/protobuf' };

test('wherever a list is cut, the parts are the whole', async () => {
  const whole = list(3, 'né');
  const bytes = whole.toBinary();
  for (let length = 1; length <= bytes.length; length += 1) {
    expect(await roomsIn(cut(bytes, length))).toEqual(whole.rooms);
  }
});

test('fields that a later LiveKit may add are passed over, whatever their type', async () => {
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
  ['is none', Buffer.from('<html>what the proxy says</html>'), /illegal tag|wire type|ends within a field/],
  ['has a field of 5 MiB', list(1, 'x'.repeat(5 * 1024 * 1024)).toBinary(), /a field of over 4194304 bytes/],
])('a list that %s is no list', async (_, bytes, message) => {
  await expect(roomsIn(cut(bytes, 65_536))).rejects.toThrow(message);
});

test('a list of ten thousand rooms', async () => {
  const { outcome, taken } = await listedBy((response) =>
    response.writeHead(200, PROTOBUF).end(list(10_000, 'a note').toBinary()),
  );
  expect(outcome).toEqual({ kind: 'listed' });
  expect(taken).toHaveLength(10_000);
  expect(taken.at(-1)).toEqual({
    name: 'call-9999',
    sid: 'RM_9999',
    createdAt: 1_795_000_000_123,
    metadata: 'a note',
  });
});

test('of an answer that is not read to its end the connection is closed at once', async () => {
  let isClosed: Promise<unknown> | undefined;
  const { outcome } = await listedBy((response) => {
    isClosed = once(response, 'close');
    response.writeHead(200, { 'content-type': 'text/html' }).write('<html>');
  });
  expect(outcome).toMatchObject({ kind: 'unavailable', detail: 'the answer is no protobuf' });
  // And not only at the deadline, which is behind that of the test.
  await isClosed;
});

test('no rooms at all are no bytes at all, when it is LiveKit that says so', async () => {
  const { outcome } = await listedBy((response) => response.writeHead(200, PROTOBUF).end());
  expect(outcome).toEqual({ kind: 'listed' });
});

const NOT_LISTED: [string, (response: ServerResponse) => void, object][] = [
  ['nothing', (to) => to.writeHead(200).end(), { kind: 'unavailable', detail: 'the answer is no protobuf' }],
  [
    'JSON',
    (to) => to.writeHead(200, { 'content-type': 'application/json' }).end('{"rooms":[]}'),
    { kind: 'unavailable', detail: 'the answer is no protobuf' },
  ],
  [
    'half a room',
    (to) => to.writeHead(200, PROTOBUF).end(list(2).toBinary().subarray(0, -3)),
    { kind: 'unavailable', detail: 'the answer ends within a field' },
  ],
  [
    'half of what it announced',
    (to) => {
      const bytes = list(1).toBinary();
      to.writeHead(200, { ...PROTOBUF, 'content-length': bytes.length * 2 }).write(bytes, () => to.destroy());
    },
    { kind: 'unavailable', detail: 'the connection failed: aborted' },
  ],
  [
    'an error in JSON, as Twirp does',
    (to) =>
      to
        .writeHead(401, { 'content-type': 'application/json' })
        .end(JSON.stringify({ code: 'unauthenticated', msg: 'permissions denied' })),
    { kind: 'refused', by: 'credentials', code: 'unauthenticated' },
  ],
  [
    'not_found',
    (to) =>
      to
        .writeHead(404, { 'content-type': 'application/json' })
        .end(JSON.stringify({ code: 'not_found', msg: 'what?' })),
    { kind: 'refused', by: 'request', code: 'not_found' },
  ],
];

test.each(NOT_LISTED)('%s is no list', async (_, answer, expected) => {
  expect((await listedBy(answer)).outcome).toMatchObject(expected);
});
