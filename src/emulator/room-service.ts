import { Buffer } from 'node:buffer';
import type { ParticipantInfo, Room, VideoGrant } from 'livekit-server-sdk';
import { z } from 'zod';
import type { RoomState } from './room-state.ts';
import { type HttpResponse, jsonResponse, livekitError, malformedRequest, twirpError } from './twirp.ts';

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

/** LiveKit limits the UTF-8 bytes of a room name, not the characters. */
const MAX_ROOM_NAME_BYTES = 256;

export const exceedsNameLimit = (name: string): boolean => Buffer.byteLength(name) > MAX_ROOM_NAME_BYTES;

// proto3 JSON: null is the zero value; camelCase and snake_case name the same field.
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
// Base64 in both alphabets, with or without padding.
const bytes = string
  .refine((text) => /^[A-Za-z0-9+/_-]*={0,2}$/.test(text))
  .transform((text) => Buffer.from(text, 'base64'));
const SendDataRequest = z.object({
  room: string,
  data: bytes,
  // LiveKit ignores kinds that are not defined.
  kind: z.union([z.string(), z.int()]).nullish(),
  nonce: bytes,
});
const ParticipantRequest = z.object({ room: string, identity: string });

/**
 * Handles one request. LiveKit rejects a malformed body before a missing grant, and a missing grant with
 * `unauthenticated`, never with `permission_denied`.
 */
export function handleRoomServiceRequest(
  method: RoomServiceMethod,
  body: unknown,
  grants: VideoGrant,
  rooms: RoomState,
): HttpResponse {
  switch (method) {
    case 'CreateRoom':
      return handle(
        CreateRoomRequest,
        body,
        () => grants.roomCreate,
        (request) =>
          exceedsNameLimit(request.name)
            ? livekitError(
                'invalid_argument',
                `room name length exceeds limits: max length ${MAX_ROOM_NAME_BYTES}`,
              )
            : toResponse(rooms.createRoom(request)),
      );
    case 'ListRooms':
      return handle(
        ListRoomsRequest,
        body,
        () => grants.roomList,
        ({ names }) => jsonResponse({ rooms: rooms.listRooms(names).map(toJson) }),
      );
    case 'DeleteRoom':
      return handle(
        RoomRequest,
        body,
        () => grants.roomCreate,
        ({ room }) => {
          switch (rooms.deleteRoom(room)) {
            case 'deleted':
              return jsonResponse({});
            case 'absent':
              return livekitError('not_found', 'requested room does not exist');
            case 'node_unavailable':
              return nodeUnavailable();
          }
        },
      );
    case 'ListParticipants':
      return handle(RoomRequest, body, isAdmin(grants), ({ room }) =>
        jsonResponse({ participants: rooms.listParticipants(room).map(toJson) }),
      );
    case 'GetParticipant':
      return handle(ParticipantRequest, body, isAdmin(grants), ({ room, identity }) => {
        const participant = rooms.listParticipants(room).find((listed) => listed.identity === identity);
        return participant === undefined ? participantNotFound() : toResponse(participant);
      });
    case 'RemoveParticipant':
      return handle(ParticipantRequest, body, isAdmin(grants), ({ room, identity }) =>
        removalResponse(rooms.removeParticipant(room, identity)),
      );
    case 'SendData':
      return handle(SendDataRequest, body, isAdmin(grants), ({ room, nonce }) => {
        if (nonce.length !== 0 && nonce.length !== 16) {
          const length = `got: ${nonce.length} bytes`;
          return twirpError('invalid_argument', `nonce should be 16-bytes or not present, ${length}`);
        }
        return rooms.sendData(room) === 'sent' ? jsonResponse({}) : nodeUnavailable();
      });
    case 'UpdateSubscriptions':
      return handle(ParticipantRequest, body, isAdmin(grants), ({ room, identity }) =>
        rooms.isReachable(room, identity) ? jsonResponse({}) : nodeUnavailable(),
      );
  }
}

function handle<Request>(
  schema: z.ZodType<Request>,
  body: unknown,
  isGranted: (request: Request) => boolean | undefined,
  respond: (request: Request) => HttpResponse,
): HttpResponse {
  const request = schema.safeParse(body);
  if (!request.success) return malformedRequest();
  if (isGranted(request.data) !== true) return twirpError('unauthenticated', 'permissions denied');
  return respond(request.data);
}

const isAdmin = (grants: VideoGrant) => (request: { readonly room: string }) =>
  grants.roomAdmin === true && (grants.room ?? '') === request.room;

/** LiveKit's response for a room on a dead node, and for a message to a room that does not exist. LiveKit sends it late. */
export const nodeUnavailable = () => livekitError('unavailable', 'no response from servers');

function removalResponse(outcome: ReturnType<RoomState['removeParticipant']>): HttpResponse {
  switch (outcome) {
    case 'removed':
      return jsonResponse({});
    case 'absent':
      return participantNotFound();
    case 'node_unavailable':
      return nodeUnavailable();
  }
}

const participantNotFound = () => livekitError('not_found', 'participant does not exist');

/** Responses use snake_case and include zero values. Webhooks do neither. */
const toJson = (message: Room | ParticipantInfo) =>
  message.toJson({ useProtoFieldName: true, emitDefaultValues: true });

const toResponse = (message: Room | ParticipantInfo): HttpResponse => jsonResponse(toJson(message));
