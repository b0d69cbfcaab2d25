import { ParticipantInfo, ParticipantInfo_State, Room, type VideoGrant } from 'livekit-server-sdk';
import type { LiveKitFailure } from '../domain/livekit-failure.ts';
import type { Asking, LiveParticipant, Rooms } from '../domain/ports.ts';
import type { EventRoom } from '../domain/room-event.ts';
import { kindOf } from './participant-kind.ts';
import { isNamed, isOurRoom, toParticipant, toRoom } from './protocol.ts';
import { askRoomService, type TwirpOutcome, type TwirpRequest } from './twirp.ts';

/**
 * LiveKit's rooms over its Twirp API. Every request has a deadline; what goes wrong is an outcome.
 * @param closing ends those that are under way
 */
export function livekitRooms(
  server: { readonly url: string; readonly apiKey: string; readonly apiSecret: string },
  closing?: AbortSignal,
): Rooms {
  return roomsBehind((request) => askRoomService(server, request, closing));
}

/** The same, however a request gets there. `send` never rejects. */
export function roomsBehind(send: (request: TwirpRequest) => Promise<TwirpOutcome>): Rooms {
  const ask = (method: string, body: object, grant: VideoGrant, { timeoutMs }: Asking) =>
    send({ method, body, grant, timeoutMs });

  async function roomsNamed(names: readonly string[], asking: Asking) {
    const answer = await ask('ListRooms', { names }, { roomList: true }, asking);
    if (answer.kind === 'not_found') return { kind: 'listed', rooms: [] } as const;
    return answer.kind === 'answered' ? understand(answer.json, toRooms) : answer;
  }

  async function participantsOf(roomName: string, asking: Asking) {
    const grant = { roomAdmin: true, room: roomName };
    const answer = await ask('ListParticipants', { room: roomName }, grant, asking);
    if (answer.kind === 'not_found') return { kind: 'listed', participants: [] } as const;
    return answer.kind === 'answered' ? understand(answer.json, toParticipants) : answer;
  }

  async function hasRoom(
    roomName: string,
    asking: Asking,
  ): Promise<{ kind: 'listed' } | { kind: 'absent' } | LiveKitFailure> {
    const answer = await roomsNamed([roomName], asking);
    return answer.kind === 'listed' ? { kind: answer.rooms.length > 0 ? 'listed' : 'absent' } : answer;
  }

  return {
    hasRoom,

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

    async listRooms(asking) {
      const answer = await roomsNamed([], asking);
      return answer.kind === 'listed' ? { ...answer, rooms: answer.rooms.filter(isOurRoom) } : answer;
    },

    async listParticipants(roomName, asking) {
      const answer = await participantsOf(roomName, asking);
      if (answer.kind !== 'listed') return answer;
      return { ...answer, participants: answer.participants.filter(isNamed).map(toParticipant) };
    },

    async describeRoom(roomName, asking) {
      const answer = await participantsOf(roomName, asking);
      if (answer.kind !== 'listed') return answer;
      const participants = answer.participants.map(toLiveParticipant);
      const about = { numParticipants: participants.length, participants };
      if (participants.length > 0) return { kind: 'described', status: { roomExists: true, ...about } };
      // A room with nobody in it and no room look the same here, so the list of rooms decides. Its own count of
      // participants lags by seconds and leaves agents out.
      const found = await hasRoom(roomName, asking);
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

/** What LiveKit says may be of a version that we do not know, or not LiveKit's. */
function understand<T>(json: object, read: (json: object) => T): T | LiveKitFailure {
  try {
    return read(json);
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 200) : 'no list';
    return { kind: 'unavailable', code: null, detail: `the answer was not understood: ${why}` };
  }
}

function toRooms(json: object): { readonly kind: 'listed'; readonly rooms: readonly EventRoom[] } {
  return {
    kind: 'listed',
    rooms: listIn(json, 'rooms').map((room) => toRoom(Room.fromJson(room as never, LENIENT))),
  };
}

function toParticipants(json: object) {
  const participants = listIn(json, 'participants').map((one) =>
    ParticipantInfo.fromJson(one as never, LENIENT),
  );
  return { kind: 'listed', participants } as const;
}

const LENIENT = { ignoreUnknownFields: true };

/** proto3 JSON leaves an empty list out. */
function listIn(json: object, key: string): readonly unknown[] {
  const list = (json as Readonly<Record<string, unknown>>)[key] ?? [];
  if (!Array.isArray(list)) throw new Error(`${key} is no list`);
  return list;
}

function notThere(method: string): LiveKitFailure {
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
