import { Room } from 'livekit-server-sdk';
import { type Environment, newId } from './environment.ts';

export interface CreateRoomOptions {
  readonly name: string;
  /** Seconds, as in the API; 0 selects the default. */
  readonly emptyTimeout: number;
  readonly departureTimeout: number;
  readonly maxParticipants: number;
  readonly metadata: string;
}

export interface RoomTimeouts {
  /** The lifetime of a room that only dependent participants have joined. */
  readonly emptyTimeoutMs: number;
  /** The time between the departure of the last participant that is not dependent, and the room's end. */
  readonly departureTimeoutMs: number;
}

/** The options of a CreateRoom request that sets none. */
export const DEFAULT_ROOM_OPTIONS = {
  emptyTimeout: 0,
  departureTimeout: 0,
  maxParticipants: 0,
  metadata: '',
};

// LiveKit lists these codecs in each room.
const ENABLED_CODECS = [
  'audio/PCMU',
  'audio/PCMA',
  'audio/opus',
  'audio/red',
  'video/VP8',
  'video/H264',
  'video/VP9',
  'video/AV1',
  'video/H265',
  'video/rtx',
];

/** Returns a new room, as LiveKit's API and webhooks describe rooms. */
export function newRoom(request: CreateRoomOptions, timeouts: RoomTimeouts, environment: Environment): Room {
  const now = environment.now();
  const info = new Room({
    sid: newId('RM_', environment),
    name: request.name,
    maxParticipants: request.maxParticipants,
    creationTime: BigInt(Math.floor(now / 1000)),
    creationTimeMs: BigInt(now),
    turnPassword: Buffer.from(environment.randomBytes(32)).toString('base64url'),
    enabledCodecs: ENABLED_CODECS.map((mime) => ({ mime })),
    metadata: request.metadata,
  });
  setTimeouts(info, timeouts);
  return info;
}

/** Returns the request's timeouts. A timeout of 0 selects the default. */
export function requestedTimeouts(
  { emptyTimeout, departureTimeout }: CreateRoomOptions,
  defaults: RoomTimeouts,
): RoomTimeouts {
  return {
    emptyTimeoutMs: emptyTimeout * 1000 || defaults.emptyTimeoutMs,
    departureTimeoutMs: departureTimeout * 1000 || defaults.departureTimeoutMs,
  };
}

export function setTimeouts(info: Room, { emptyTimeoutMs, departureTimeoutMs }: RoomTimeouts): void {
  info.emptyTimeout = Math.ceil(emptyTimeoutMs / 1000);
  info.departureTimeout = Math.ceil(departureTimeoutMs / 1000);
}
