import type { RoomRef } from '../domain/room-event.ts';
import { toTimestamp } from './mapping.ts';
import { BYTES, FieldReader, VARINT } from './transport/field-reader.ts';

/* Field numbers of livekit_room.proto and livekit_models.proto. */
const ROOMS = 1 * 8 + BYTES;
const SID = 1 * 8 + BYTES;
const NAME = 2 * 8 + BYTES;
const CREATION_TIME = 5 * 8 + VARINT;
const METADATA = 8 * 8 + BYTES;
const CREATION_TIME_MS = 15 * 8 + VARINT;
const USED_FIELDS: readonly number[] = [SID, NAME, CREATION_TIME, METADATA, CREATION_TIME_MS].map(numberOf);

/**
 * Returns the rooms of LiveKit's ListRoomsResponse. Skips the fields that hangup does not use, such as the codecs, which
 * are most of the message.
 * @throws Error if the bytes are not such a message
 */
export function decodeRooms(bytes: Uint8Array): RoomRef[] {
  const reader = new FieldReader(bytes);
  const rooms: RoomRef[] = [];
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === ROOMS) rooms.push(decodeRoom(reader));
    else if (numberOf(tag) === numberOf(ROOMS)) throw wrongType(tag);
    else reader.skip(tag);
  }
  return rooms;
}

function decodeRoom(reader: FieldReader): RoomRef {
  const end = reader.endOfBytes();
  let sid = '';
  let name = '';
  let metadata = '';
  let creationTime = 0;
  let creationTimeMs = 0;
  while (reader.position < end) {
    const tag = reader.tag();
    switch (tag) {
      case SID:
        sid = reader.string();
        break;
      case NAME:
        name = reader.string();
        break;
      case CREATION_TIME:
        creationTime = reader.int64();
        break;
      case METADATA:
        metadata = reader.string();
        break;
      case CREATION_TIME_MS:
        creationTimeMs = reader.int64();
        break;
      default:
        if (USED_FIELDS.includes(numberOf(tag))) throw wrongType(tag);
        reader.skip(tag);
    }
  }
  if (reader.position > end) throw new Error('invalid protobuf: a field of a room ends after the room');
  return { name, sid, createdAt: toTimestamp(creationTimeMs, creationTime), metadata };
}

function numberOf(tag: number): number {
  return tag >>> 3;
}

function wrongType(tag: number): Error {
  return new Error(`invalid protobuf: field ${numberOf(tag)} has the wire type ${tag & 7}`);
}
