import { setImmediate } from 'node:timers/promises';
import { ListParticipantsRequest, ListParticipantsResponse, ListRoomsResponse } from '@livekit/protocol';
import { type ParticipantInfo, ParticipantInfo_State, Room, type VideoGrant } from 'livekit-server-sdk';
import type { LiveKitError } from '../domain/livekit-error.ts';
import type { RoomRef } from '../domain/room-event.ts';
import type { LiveParticipant, RequestOptions, RoomService } from '../ports/livekit.ts';
import { isNamed, isOurRoom, toParticipant, toRoom } from './mapping.ts';
import { kindOf } from './participant-kind.ts';
import { inWholeFields } from './transport/field-stream.ts';
import { noAnswerWithin, type RoomServiceTransport, readJson } from './transport/twirp.ts';

/**
 * LiveKit's rooms over its Twirp API.
 * @param transport carries each request; a method may need several
 * @param monotonicMs a clock that is never set back
 */
export function createRoomService(
  transport: RoomServiceTransport,
  monotonicMs: () => number = () => performance.now(),
): RoomService {
  const ask = (method: string, body: object, grant: VideoGrant, asking: RequestOptions) =>
    askFor(method, body, grant, asking, (json) => json);
  const askFor = <Answer>(
    method: string,
    body: object,
    grant: VideoGrant,
    asking: RequestOptions,
    parse: (json: object) => Answer,
  ) =>
    transport({
      ...asking,
      method,
      body,
      grant,
      read: async (answer) => parseResponse(await readJson(answer), parse),
    });

  /** As protobuf and in parts: of a room with thousands of participants JSON would be megabytes of text at once. */
  async function participantsOf(
    roomName: string,
    asking: RequestOptions,
  ): Promise<{ kind: 'listed'; participants: ParticipantInfo[] } | LiveKitError> {
    const participants: ParticipantInfo[] = [];
    const answer = await transport({
      ...asking,
      method: 'ListParticipants',
      body: new ListParticipantsRequest({ room: roomName }).toBinary(),
      grant: { roomAdmin: true, room: roomName },
      read: async (body) => {
        for await (const part of inWholeFields(body)) {
          participants.push(...ListParticipantsResponse.fromBinary(part).participants);
          // Lets other requests run in between.
          await setImmediate();
        }
      },
    });
    if (answer.kind === 'not_found') return { kind: 'listed', participants: [] };
    return answer.kind === 'answered' ? { kind: 'listed', participants } : answer;
  }

  async function findRoom(
    roomName: string,
    asking: RequestOptions,
  ): Promise<{ kind: 'listed'; room: RoomRef } | { kind: 'absent' } | LiveKitError> {
    const grant = { roomList: true };
    const answer = await askFor('ListRooms', { names: [roomName] }, grant, asking, toFoundRoom);
    if (answer.kind === 'not_found') return { kind: 'absent' };
    return answer.kind === 'answered' ? answer.answer : answer;
  }

  return {
    findRoom,

    async probeNode(roomName, asking) {
      const grant = { roomAdmin: true, room: roomName };
      const answer = await ask('SendData', { room: roomName, ...TO_NOBODY }, grant, asking);
      if (answer.kind === 'answered') return { kind: 'responding' };
      return answer.kind === 'not_found' ? { kind: 'absent' } : answer;
    },

    async probeParticipant({ roomName, identity }, asking) {
      const grant = { roomAdmin: true, room: roomName };
      const answer = await ask('UpdateSubscriptions', { room: roomName, identity }, grant, asking);
      if (answer.kind === 'answered') return { kind: 'responding' };
      return answer.kind === 'not_found' ? { kind: 'absent' } : answer;
    },

    async deleteRoom(roomName, asking) {
      // LiveKit takes an empty name for a room of its own.
      if (roomName === '') throw new Error('a room name must not be empty');
      const answer = await ask('DeleteRoom', { room: roomName }, { roomCreate: true }, asking);
      if (answer.kind === 'answered') return { kind: 'deleted' };
      return answer.kind === 'not_found' ? { kind: 'absent' } : answer;
    },

    async createRoom({ roomName, emptyTimeoutS }, asking) {
      const body = { name: roomName, emptyTimeout: emptyTimeoutS };
      const answer = await ask('CreateRoom', body, { roomCreate: true }, asking);
      if (answer.kind === 'answered') return { kind: 'created' };
      return answer.kind === 'not_found' ? notThere('CreateRoom') : answer;
    },

    async listRooms(take, asking) {
      const answer = await transport({
        ...asking,
        method: 'ListRooms',
        body: EVERY_ROOM,
        grant: { roomList: true },
        read: async (body) => {
          for await (const part of inWholeFields(body)) {
            await take(ListRoomsResponse.fromBinary(part).rooms.map(toRoom).filter(isOurRoom));
            // Other requests come between.
            await setImmediate();
          }
        },
      });
      if (answer.kind === 'not_found') return notThere('ListRooms');
      return answer.kind === 'answered' ? { kind: 'listed' } : answer;
    },

    async listParticipants(roomName, asking) {
      const answer = await participantsOf(roomName, asking);
      if (answer.kind !== 'listed') return answer;
      return {
        ...answer,
        participants: answer.participants.filter(isNamed).map((info) => toParticipant(info)),
      };
    },

    async describeRoom(roomName, asking) {
      const startedAt = monotonicMs();
      const answer = await participantsOf(roomName, asking);
      if (answer.kind !== 'listed') return answer;
      const participants = answer.participants.map(toLiveParticipant);
      const about = { numParticipants: participants.length, participants };
      if (participants.length > 0) return { kind: 'described', status: { roomExists: true, ...about } };
      // A room with nobody in it and no room look the same here, so the list of rooms decides. Its own count of
      // participants lags by seconds and leaves agents out.
      const leftMs = Math.ceil(asking.timeoutMs - (monotonicMs() - startedAt));
      if (leftMs < 1) return noAnswerWithin(asking.timeoutMs);
      const found = await findRoom(roomName, { ...asking, timeoutMs: leftMs });
      switch (found.kind) {
        case 'listed':
        case 'absent':
          return { kind: 'described', status: { roomExists: found.kind === 'listed', ...about } };
        default:
          return found;
      }
    },
  };
}

/** @throws Error for an answer of a LiveKit that this version does not know, or of another program */
function parseResponse<Answer>(json: object, parse: (json: object) => Answer): Answer {
  try {
    return parse(json);
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 200) : 'no list';
    throw new Error(`the answer was not understood: ${why}`);
  }
}

function toFoundRoom(json: object): { kind: 'listed'; room: RoomRef } | { kind: 'absent' } {
  const [room] = listIn(json, 'rooms').map((one) => toRoom(Room.fromJson(one as never, LENIENT)));
  return room === undefined ? { kind: 'absent' } : { kind: 'listed', room };
}

/** SendDataRequest without data, to an identity that no participant has. */
const TO_NOBODY = { data: '', destinationIdentities: ['hangup-probe'], topic: 'hangup-probe' };

/** ListRoomsRequest without names. Protobuf: of many rooms its list takes less than half the bytes, and can be read in parts. */
const EVERY_ROOM = new Uint8Array();

const LENIENT = { ignoreUnknownFields: true };

/** proto3 JSON leaves an empty list out. */
function listIn(json: object, key: string): readonly unknown[] {
  const list = (json as Readonly<Record<string, unknown>>)[key] ?? [];
  if (!Array.isArray(list)) throw new Error(`${key} is no list`);
  return list;
}

function notThere(method: string): LiveKitError {
  return {
    kind: 'refused',
    by: 'request',
    code: 'not_found',
    detail: `${method} was answered with not_found`,
  };
}

function toLiveParticipant(info: ParticipantInfo): LiveParticipant {
  return {
    identity: info.identity,
    name: info.name,
    kind: kindOf(info),
    state: ParticipantInfo_State[info.state] ?? String(info.state),
    joinedAt: info.joinedAt === 0n ? null : Number(info.joinedAtMs || info.joinedAt * 1000n),
  };
}
