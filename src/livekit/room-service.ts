import { setImmediate } from 'node:timers/promises';
import { ListParticipantsRequest, ListParticipantsResponse } from '@livekit/protocol';
import { type ParticipantInfo, ParticipantInfo_State, Room, type VideoGrant } from 'livekit-server-sdk';
import { errorMessage } from '../domain/errors.ts';
import type { LiveKitError } from '../domain/livekit-error.ts';
import type { RoomRef } from '../domain/room-event.ts';
import type { LiveParticipant, RequestOptions, RoomService } from '../ports/livekit.ts';
import { isValidParticipant, isValidRoom, toParticipant, toRoom } from './mapping.ts';
import { kindOf } from './participant-kind.ts';
import { decodeRooms } from './room-list.ts';
import { splitAtFieldBoundaries } from './transport/field-stream.ts';
import { type RoomServiceTransport, readJson, timedOut } from './transport/twirp.ts';

/**
 * Creates the RoomService client over LiveKit's Twirp API.
 * @param transport sends each request; a method may need several requests
 * @param monotonicMs a clock that never goes back
 */
export function createRoomService(
  transport: RoomServiceTransport,
  monotonicMs: () => number = () => performance.now(),
): RoomService {
  const request = (method: string, body: object, grant: VideoGrant, options: RequestOptions) =>
    requestParsed(method, body, grant, options, (json) => json);
  const requestParsed = <Value>(
    method: string,
    body: object,
    grant: VideoGrant,
    options: RequestOptions,
    parse: (json: object) => Value,
  ) =>
    transport({
      ...options,
      method,
      body,
      grant,
      read: async (responseBody) => parseResponse(await readJson(responseBody), parse),
    });

  /** Requests protobuf and reads it in parts: the JSON of thousands of participants is a text of megabytes. */
  async function fetchParticipants(
    roomName: string,
    options: RequestOptions,
  ): Promise<{ kind: 'listed'; participants: ParticipantInfo[] } | LiveKitError> {
    const participants: ParticipantInfo[] = [];
    const outcome = await transport({
      ...options,
      method: 'ListParticipants',
      body: new ListParticipantsRequest({ room: roomName }).toBinary(),
      grant: { roomAdmin: true, room: roomName },
      read: async (body) => {
        for await (const part of splitAtFieldBoundaries(body)) {
          participants.push(...ListParticipantsResponse.fromBinary(part).participants);
          // Lets other requests run in between.
          await setImmediate();
        }
      },
    });
    if (outcome.kind === 'not_found') return { kind: 'listed', participants: [] };
    return outcome.kind === 'answered' ? { kind: 'listed', participants } : outcome;
  }

  async function findRoom(
    roomName: string,
    options: RequestOptions,
  ): Promise<{ kind: 'listed'; room: RoomRef } | { kind: 'absent' } | LiveKitError> {
    const grant = { roomList: true };
    const outcome = await requestParsed('ListRooms', { names: [roomName] }, grant, options, toFoundRoom);
    if (outcome.kind === 'not_found') return { kind: 'absent' };
    return outcome.kind === 'answered' ? outcome.value : outcome;
  }

  return {
    findRoom,

    async probeNode(roomName, options) {
      const grant = { roomAdmin: true, room: roomName };
      const outcome = await request('SendData', { room: roomName, ...EMPTY_MESSAGE }, grant, options);
      if (outcome.kind === 'answered') return { kind: 'responding' };
      return outcome.kind === 'not_found' ? { kind: 'absent' } : outcome;
    },

    async probeParticipant({ roomName, identity }, options) {
      const grant = { roomAdmin: true, room: roomName };
      const outcome = await request('UpdateSubscriptions', { room: roomName, identity }, grant, options);
      if (outcome.kind === 'answered') return { kind: 'responding' };
      return outcome.kind === 'not_found' ? { kind: 'absent' } : outcome;
    },

    async deleteRoom(roomName, options) {
      // LiveKit accepts the empty name as a room.
      if (roomName === '') throw new Error('a room name must not be empty');
      const outcome = await request('DeleteRoom', { room: roomName }, { roomCreate: true }, options);
      if (outcome.kind === 'answered') return { kind: 'deleted' };
      return outcome.kind === 'not_found' ? { kind: 'absent' } : outcome;
    },

    async createRoom({ roomName, emptyTimeoutS }, options) {
      const body = { name: roomName, emptyTimeout: emptyTimeoutS };
      const outcome = await request('CreateRoom', body, { roomCreate: true }, options);
      if (outcome.kind === 'answered') return { kind: 'created' };
      return outcome.kind === 'not_found' ? unexpectedNotFound('CreateRoom') : outcome;
    },

    async listRooms(onPage, options) {
      const outcome = await transport({
        ...options,
        method: 'ListRooms',
        body: LIST_ALL_ROOMS,
        grant: { roomList: true },
        read: async (body) => {
          for await (const part of splitAtFieldBoundaries(body)) {
            await onPage(decodeRooms(part).filter(isValidRoom));
            // Lets other requests run in between.
            await setImmediate();
          }
        },
      });
      if (outcome.kind === 'not_found') return unexpectedNotFound('ListRooms');
      return outcome.kind === 'answered' ? { kind: 'listed' } : outcome;
    },

    async listParticipants(roomName, options) {
      const outcome = await fetchParticipants(roomName, options);
      if (outcome.kind !== 'listed') return outcome;
      return {
        ...outcome,
        participants: outcome.participants.filter(isValidParticipant).map((info) => toParticipant(info)),
      };
    },

    async describeRoom(roomName, options) {
      const startedAt = monotonicMs();
      const outcome = await fetchParticipants(roomName, options);
      if (outcome.kind !== 'listed') return outcome;
      const participants = outcome.participants.map(toLiveParticipant);
      const fields = { numParticipants: participants.length, participants };
      if (participants.length > 0) return { kind: 'described', status: { roomExists: true, ...fields } };
      // An empty room and an absent room have the same list, so the list of rooms decides. The participant count
      // there is seconds late and leaves out agents.
      const remainingMs = Math.ceil(options.timeoutMs - (monotonicMs() - startedAt));
      if (remainingMs < 1) return timedOut(options.timeoutMs);
      const found = await findRoom(roomName, { ...options, timeoutMs: remainingMs });
      switch (found.kind) {
        case 'listed':
        case 'absent':
          return { kind: 'described', status: { roomExists: found.kind === 'listed', ...fields } };
        default:
          return found;
      }
    },
  };
}

/** Returns the parsed response. @throws Error for a response that this version cannot parse */
function parseResponse<Value>(json: object, parse: (json: object) => Value): Value {
  try {
    return parse(json);
  } catch (error) {
    throw new Error(`invalid response: ${errorMessage(error).slice(0, 200)}`);
  }
}

function toFoundRoom(json: object): { kind: 'listed'; room: RoomRef } | { kind: 'absent' } {
  const [room] = arrayField(json, 'rooms').map((room) => toRoom(Room.fromJson(room as never, PARSE_OPTIONS)));
  return room === undefined ? { kind: 'absent' } : { kind: 'listed', room };
}

/** SendDataRequest without data, to an identity that no participant has. */
const EMPTY_MESSAGE = { data: '', destinationIdentities: ['hangup-probe'], topic: 'hangup-probe' };

/** ListRoomsRequest without names, in protobuf: half the bytes of JSON, and readable in parts. */
const LIST_ALL_ROOMS = new Uint8Array();

const PARSE_OPTIONS = { ignoreUnknownFields: true };

/** proto3 JSON leaves out an empty list. */
function arrayField(json: object, key: string): readonly unknown[] {
  const list = (json as Readonly<Record<string, unknown>>)[key] ?? [];
  if (!Array.isArray(list)) throw new Error(`${key} is not a list`);
  return list;
}

function unexpectedNotFound(method: string): LiveKitError {
  return {
    kind: 'refused',
    reason: 'request',
    code: 'not_found',
    detail: `${method} returned not_found`,
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
