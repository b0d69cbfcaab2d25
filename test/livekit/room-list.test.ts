import { Buffer } from 'node:buffer';
import { type Message, proto3, ScalarType } from '@bufbuild/protobuf';
import { ListRoomsResponse } from '@livekit/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RoomRef } from '../../src/domain/room-event.ts';
import { toRoom } from '../../src/livekit/mapping.ts';
import { decodeRooms } from '../../src/livekit/room-list.ts';
import { splitAtFieldBoundaries } from '../../src/livekit/transport/field-stream.ts';

/* LiveKit's own library is the reference of the decoder. */

/** LiveKit's messages with the fields of a room that hangup uses: the library skips the others by their wire type. */
const UsedRoom = proto3.makeMessageType('livekit.Room', () => [
  { no: 1, name: 'sid', kind: 'scalar', T: ScalarType.STRING },
  { no: 2, name: 'name', kind: 'scalar', T: ScalarType.STRING },
  { no: 5, name: 'creation_time', kind: 'scalar', T: ScalarType.INT64 },
  { no: 8, name: 'metadata', kind: 'scalar', T: ScalarType.STRING },
  { no: 15, name: 'creation_time_ms', kind: 'scalar', T: ScalarType.INT64 },
]);
interface UsedRooms extends Message<UsedRooms> {
  readonly rooms: readonly Parameters<typeof toRoom>[0][];
}
const UsedRooms = proto3.makeMessageType<UsedRooms>('livekit.ListRoomsResponse', () => [
  { no: 1, name: 'rooms', kind: 'message', T: UsedRoom, repeated: true },
]);

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }).filter((value) => value.isWellFormed()),
  fc.string({ minLength: 120, maxLength: 140 }),
);
const int64 = fc.oneof(
  fc.constant(0n),
  fc.bigInt({ min: 1n, max: 2n ** 53n }),
  fc.bigInt({ min: -(2n ** 63n), max: -1n }),
);
const uint32 = fc.nat(2 ** 31 - 1);
const room = fc.record(
  {
    sid: text,
    name: text,
    emptyTimeout: uint32,
    departureTimeout: uint32,
    maxParticipants: uint32,
    creationTime: int64,
    creationTimeMs: int64,
    turnPassword: text,
    enabledCodecs: fc.array(fc.record({ mime: text, fmtpLine: text }), { maxLength: 3 }),
    metadata: text,
    numParticipants: uint32,
    numPublishers: uint32,
    activeRecording: fc.boolean(),
    version: fc.record({ unixMicro: int64, ticks: fc.nat(1_000) }),
  },
  { requiredKeys: [] },
);
const message = fc
  .array(room, { maxLength: 5 })
  // The library drops a byte order mark at the start of a text, as a text decoder does.
  .filter((rooms) =>
    rooms.every(
      ({ sid, name, metadata }) => ![sid, name, metadata].some((value) => value?.startsWith('\uFEFF')),
    ),
  )
  .map((rooms) => new ListRoomsResponse({ rooms }).toBinary());
const mutation = fc.record({
  at: fc.nat(),
  byte: fc.nat(255),
  kind: fc.constantFrom('replace', 'insert', 'remove'),
});

/** Above 2^53 a number of milliseconds is not exact. */
const comparable = (rooms: readonly RoomRef[]) =>
  rooms.map(({ createdAt, ...rest }) => ({
    ...rest,
    createdAt: createdAt !== null && createdAt > Number.MAX_SAFE_INTEGER ? 'inexact' : createdAt,
  }));

test("every list of rooms is decoded as by LiveKit's library", () => {
  fc.assert(
    fc.property(message, (bytes) => {
      expect(decodeRooms(bytes)).toEqual(ListRoomsResponse.fromBinary(bytes).rooms.map(toRoom));
    }),
  );
});

test('every list of rooms is decoded completely from parts', async () => {
  await fc.assert(
    fc.asyncProperty(message, fc.integer({ min: 1, max: 64 }), async (bytes, length) => {
      async function* chunks() {
        for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
      }
      const parts = await Array.fromAsync(splitAtFieldBoundaries(chunks()));
      expect(parts.flatMap(decodeRooms)).toEqual(decodeRooms(bytes));
    }),
  );
});

test("corrupt lists of rooms are refused or decoded as by LiveKit's library", () => {
  let [accepted, refused] = [0, 0];
  fc.assert(
    fc.property(message, fc.array(mutation, { minLength: 1, maxLength: 3 }), (bytes, mutations) => {
      const corrupt = mutations.reduce((before, { at, byte, kind }) => {
        const index = at % (before.length + 1);
        const rest = before.subarray(kind === 'insert' ? index : index + 1);
        return Buffer.concat([
          before.subarray(0, index),
          ...(kind === 'remove' ? [] : [Buffer.of(byte)]),
          rest,
        ]);
      }, Buffer.from(bytes));
      let rooms: RoomRef[];
      try {
        rooms = decodeRooms(corrupt);
      } catch {
        refused += 1;
        return;
      }
      accepted += 1;
      // The library's text decoder drops a byte order mark.
      fc.pre(!corrupt.includes('\uFEFF'));
      expect(comparable(rooms)).toEqual(comparable(UsedRooms.fromBinary(corrupt).rooms.map(toRoom)));
    }),
    { numRuns: 2_000 },
  );
  expect(Math.min(accepted, refused)).toBeGreaterThan(100);
});

test('a list of rooms that is cut within a field is refused', async () => {
  const bytes = new ListRoomsResponse({
    rooms: [{ name: 'a', sid: 'RM_a', metadata: 'x'.repeat(200) }],
  }).toBinary();
  for (let length = 1; length < bytes.length; length += 1) {
    expect(() => decodeRooms(bytes.subarray(0, length))).toThrow('the protobuf ends within a field');
  }
});

describe('a list of rooms is refused', () => {
  const bytes = (...fields: (readonly number[])[]) => Uint8Array.from(fields.flat());
  const asRoom = (...fields: (readonly number[])[]) => bytes([0x0a, fields.flat().length], ...fields);

  test.each<[string, Uint8Array, RegExp]>([
    ['when a name has the type of a number', asRoom([0x10, 1]), /field 2 has the wire type 0/],
    ['when a creation time has the type of a text', asRoom([0x2a, 1, 0x61]), /field 5 has the wire type 2/],
    ['when the rooms are numbers', bytes([0x08, 1]), /field 1 has the wire type 0/],
    ['when a name ends after its room', bytes([0x0a, 3, 0x12, 2, 0x61, 0x61]), /ends after the room/],
    ['when a field has the number 0', bytes([0x02, 0]), /2 is not a tag/],
    ['when a group has no start', bytes([0x14]), /the wire type 4/],
    ['when a group has the end of another group', bytes([0x13, 0x1c]), /a group ends that did not start/],
    ['when a number has 11 bytes', bytes([0x10, ...Array(10).fill(0xff), 1]), /more than 64 bits/],
  ])('%s', (_, message, expected) => {
    expect(() => decodeRooms(message)).toThrow(expected);
  });
});

test('unknown fields of every type are skipped in a room', () => {
  const unknown = [
    ...[0xf0, 0x7f, ...Array(9).fill(0xff), 1],
    ...[0xf1, 0x7f, 1, 2, 3, 4, 5, 6, 7, 8],
    ...[0xf2, 0x7f, 2, 0x12, 0x00],
    // A group that contains another group.
    ...[0xf3, 0x7f, 0x10, 1, 0x1b, 0x1c, 0xf4, 0x7f],
    ...[0xf5, 0x7f, 1, 2, 3, 4],
  ];
  const fields = [...unknown, 0x12, 1, 0x61, ...unknown, 0x0a, 1, 0x62];
  expect(decodeRooms(Uint8Array.from([0x0a, fields.length, ...fields]))).toEqual([
    { name: 'a', sid: 'b', createdAt: null, metadata: '' },
  ]);
});

test('a byte order mark is part of a room name', () => {
  const bytes = new ListRoomsResponse({ rooms: [{ name: '\uFEFFroom', sid: 'RM_a' }] }).toBinary();
  expect(decodeRooms(bytes)).toMatchObject([{ name: '\uFEFFroom' }]);
});
