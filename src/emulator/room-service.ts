import { Buffer } from 'node:buffer';
import type { JsonValue, Message, MessageType } from '@bufbuild/protobuf';
import {
  CreateRoomRequest,
  DeleteRoomRequest,
  ListParticipantsRequest,
  ListRoomsRequest,
  RoomParticipantIdentity,
  SendDataRequest,
  UpdateSubscriptionsRequest,
} from '@livekit/protocol';
import type { ParticipantInfo, Room, VideoGrant } from 'livekit-server-sdk';
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

/**
 * Handles one request, and returns the response in JSON. LiveKit rejects a malformed body before a missing grant, and a
 * missing grant with `unauthenticated`, never with `permission_denied`.
 */
export function handleRoomServiceRequest(
  method: RoomServiceMethod,
  body: JsonValue,
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
            : jsonResponse(roomToJson(rooms.createRoom(request))),
      );
    case 'ListRooms':
      return handle(
        ListRoomsRequest,
        body,
        () => grants.roomList,
        ({ names }) => jsonResponse({ rooms: rooms.listRooms(names).map(roomToJson) }),
      );
    case 'DeleteRoom':
      return handle(
        DeleteRoomRequest,
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
      return handle(ListParticipantsRequest, body, isAdmin(grants), ({ room }) =>
        jsonResponse({ participants: rooms.listParticipants(room).map(toJson) }),
      );
    case 'GetParticipant':
      return handle(RoomParticipantIdentity, body, isAdmin(grants), ({ room, identity }) => {
        const participant = rooms.listParticipants(room).find((listed) => listed.identity === identity);
        return participant === undefined ? participantNotFound() : jsonResponse(toJson(participant));
      });
    case 'RemoveParticipant':
      return handle(RoomParticipantIdentity, body, isAdmin(grants), ({ room, identity }) => {
        switch (rooms.removeParticipant(room, identity)) {
          case 'removed':
            return jsonResponse({});
          case 'absent':
            return participantNotFound();
          case 'node_unavailable':
            return nodeUnavailable();
        }
      });
    case 'SendData':
      return handle(SendDataRequest, body, isAdmin(grants), ({ room, nonce }) => {
        if (nonce.length !== 0 && nonce.length !== 16) {
          const length = `got: ${nonce.length} bytes`;
          return twirpError('invalid_argument', `nonce should be 16-bytes or not present, ${length}`);
        }
        return rooms.sendData(room) === 'sent' ? jsonResponse({}) : nodeUnavailable();
      });
    case 'UpdateSubscriptions':
      return handle(UpdateSubscriptionsRequest, body, isAdmin(grants), ({ room, identity }) =>
        rooms.isReachable(room, identity) ? jsonResponse({}) : nodeUnavailable(),
      );
  }
}

function handle<Request extends Message<Request>>(
  type: MessageType<Request>,
  body: JsonValue,
  isGranted: (request: Request) => boolean | undefined,
  respond: (request: Request) => HttpResponse,
): HttpResponse {
  const request = decode(type, body);
  if (request === null) return malformedRequest();
  if (isGranted(request) !== true) return twirpError('unauthenticated', 'permissions denied');
  return respond(request);
}

/** Returns the message; null if the JSON is not a message of the type. */
function decode<Request extends Message<Request>>(
  type: MessageType<Request>,
  body: JsonValue,
): Request | null {
  try {
    const request = type.fromJson(body, { ignoreUnknownFields: true });
    // A field in camelCase and in snake_case is a duplicate, which fromJson accepts and LiveKit rejects.
    const fields = new Set(Object.keys(body ?? {}));
    const hasDuplicate = type.fields
      .list()
      .some(({ name, jsonName }) => name !== jsonName && fields.has(name) && fields.has(jsonName));
    return hasDuplicate ? null : request;
  } catch {
    return null;
  }
}

const isAdmin = (grants: VideoGrant) => (request: { readonly room: string }) =>
  grants.roomAdmin === true && (grants.room ?? '') === request.room;

/** LiveKit's response for a room on a dead node, and for a message to an absent room. LiveKit sends this response late. */
export const nodeUnavailable = () => livekitError('unavailable', 'no response from servers');

const participantNotFound = () => livekitError('not_found', 'participant does not exist');

/** Responses use snake_case and include zero values. Webhooks do neither. */
const toJson = (message: Room | ParticipantInfo) =>
  message.toJson({ useProtoFieldName: true, emitDefaultValues: true });

/** LiveKit includes unset messages as null; toJson omits them. */
const roomToJson = (room: Room) => ({ ...Object(toJson(room)), version: null });
