import { Buffer } from 'node:buffer';
import type { ParticipantInfo, Room, VideoGrant } from 'livekit-server-sdk';
import { z } from 'zod';
import type { RoomState } from './room-state.ts';
import { type Answer, json, livekitError, malformed, twirpError } from './twirp.ts';

export const ROOM_SERVICE_METHODS = [
  'CreateRoom',
  'ListRooms',
  'DeleteRoom',
  'ListParticipants',
  'GetParticipant',
  'RemoveParticipant',
  'SendData',
  'UpdateSubscriptions',
] as const;

export type RoomServiceMethod = (typeof ROOM_SERVICE_METHODS)[number];

/** LiveKit's limit on a room's name counts bytes of UTF-8, not characters. */
const MAX_ROOM_NAME_BYTES = 256;

export const isTooLongForARoom = (name: string): boolean => Buffer.byteLength(name) > MAX_ROOM_NAME_BYTES;

// proto3 JSON: null is the zero value; both spellings of a field's name are one field.
const string = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const uint32 = z
  .int()
  .min(0)
  .max(0xffff_ffff)
  .nullish()
  .transform((value) => value ?? 0);

const CreateRoomRequest = z
  .object({
    name: string,
    emptyTimeout: uint32,
    empty_timeout: uint32,
    departureTimeout: uint32,
    departure_timeout: uint32,
    maxParticipants: uint32,
    max_participants: uint32,
    metadata: string,
  })
  .transform((request) => ({
    name: request.name,
    emptyTimeout: request.emptyTimeout || request.empty_timeout,
    departureTimeout: request.departureTimeout || request.departure_timeout,
    maxParticipants: request.maxParticipants || request.max_participants,
    metadata: request.metadata,
  }));
const ListRoomsRequest = z.object({
  names: z
    .array(z.string())
    .nullish()
    .transform((names) => names ?? []),
});
const RoomRequest = z.object({ room: string });
// Both alphabets of base64, padded or not.
const bytes = string
  .refine((text) => /^[A-Za-z0-9+/_-]*={0,2}$/.test(text))
  .transform((text) => Buffer.from(text, 'base64'));
const SendDataRequest = z.object({
  room: string,
  data: bytes,
  // LiveKit passes over kinds that it does not know.
  kind: z.union([z.string(), z.int()]).nullish(),
  nonce: bytes,
});
const ParticipantRequest = z.object({ room: string, identity: string });

/**
 * Does one request. The order is the real server's: a body that cannot be read comes before a grant that is
 * missing, and a missing grant is `unauthenticated`, never `permission_denied`.
 */
export function answerRoomService(
  method: RoomServiceMethod,
  body: unknown,
  grants: VideoGrant,
  rooms: RoomState,
): Answer {
  switch (method) {
    case 'CreateRoom':
      return answer(
        CreateRoomRequest,
        body,
        () => grants.roomCreate,
        (request) =>
          isTooLongForARoom(request.name)
            ? livekitError(
                'invalid_argument',
                `room name length exceeds limits: max length ${MAX_ROOM_NAME_BYTES}`,
              )
            : wire(rooms.create(request)),
      );
    case 'ListRooms':
      return answer(
        ListRoomsRequest,
        body,
        () => grants.roomList,
        ({ names }) => json({ rooms: rooms.list(names).map(wireJson) }),
      );
    case 'DeleteRoom':
      return answer(
        RoomRequest,
        body,
        () => grants.roomCreate,
        ({ room }) => {
          switch (rooms.delete(room)) {
            case 'deleted':
              return json({});
            case 'absent':
              return livekitError('not_found', 'requested room does not exist');
            case 'no_response':
              return noResponse();
          }
        },
      );
    case 'ListParticipants':
      return answer(RoomRequest, body, isAdmin(grants), ({ room }) =>
        json({ participants: rooms.participants(room).map(wireJson) }),
      );
    case 'GetParticipant':
      return answer(ParticipantRequest, body, isAdmin(grants), ({ room, identity }) => {
        const participant = rooms.participants(room).find((one) => one.identity === identity);
        return participant === undefined ? noParticipant() : wire(participant);
      });
    case 'RemoveParticipant':
      return answer(ParticipantRequest, body, isAdmin(grants), ({ room, identity }) =>
        removed(rooms.remove(room, identity)),
      );
    case 'SendData':
      return answer(SendDataRequest, body, isAdmin(grants), ({ room, nonce }) => {
        if (nonce.length !== 0 && nonce.length !== 16) {
          const length = `got: ${nonce.length} bytes`;
          return twirpError('invalid_argument', `nonce should be 16-bytes or not present, ${length}`);
        }
        return rooms.sendData(room) === 'sent' ? json({}) : noResponse();
      });
    case 'UpdateSubscriptions':
      return answer(ParticipantRequest, body, isAdmin(grants), ({ room, identity }) =>
        rooms.reaches(room, identity) ? json({}) : noResponse(),
      );
  }
}

function answer<Request>(
  schema: z.ZodType<Request>,
  body: unknown,
  isGranted: (request: Request) => boolean | undefined,
  act: (request: Request) => Answer,
): Answer {
  const request = schema.safeParse(body);
  if (!request.success) return malformed();
  if (isGranted(request.data) !== true) return twirpError('unauthenticated', 'permissions denied');
  return act(request.data);
}

const isAdmin = (grants: VideoGrant) => (request: { readonly room: string }) =>
  grants.roomAdmin === true && (grants.room ?? '') === request.room;

/** LiveKit's answer for a room whose node is dead, and for a message to a room that is not there. It comes late. */
export const noResponse = () => livekitError('unavailable', 'no response from servers');

function removed(outcome: ReturnType<RoomState['remove']>): Answer {
  switch (outcome) {
    case 'removed':
      return json({});
    case 'absent':
      return noParticipant();
    case 'no_response':
      return noResponse();
  }
}

const noParticipant = () => livekitError('not_found', 'participant does not exist');

/** Answers, unlike webhooks, name their fields in snake_case and spell zero values out. */
const wireJson = (message: Room | ParticipantInfo) =>
  message.toJson({ useProtoFieldName: true, emitDefaultValues: true });

const wire = (message: Room | ParticipantInfo): Answer => json(wireJson(message));
