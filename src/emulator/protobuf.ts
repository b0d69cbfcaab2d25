import { BinaryReader, type BinaryReadOptions, type JsonValue, type Message } from '@bufbuild/protobuf';
import {
  CreateRoomRequest,
  DeleteRoomRequest,
  DeleteRoomResponse,
  ListParticipantsRequest,
  ListParticipantsResponse,
  ListRoomsRequest,
  ListRoomsResponse,
  ParticipantInfo,
  RemoveParticipantResponse,
  Room,
  RoomParticipantIdentity,
  SendDataRequest,
  SendDataResponse,
  UpdateSubscriptionsRequest,
  UpdateSubscriptionsResponse,
} from '@livekit/protocol';
import type { RoomServiceMethod } from './room-service.ts';
import type { HttpResponse } from './twirp.ts';

const PROTOBUF_TYPE = 'application/protobuf';

/** The request and response types of each method (livekit_room.proto). */
const TYPES = {
  CreateRoom: [CreateRoomRequest, Room],
  ListRooms: [ListRoomsRequest, ListRoomsResponse],
  DeleteRoom: [DeleteRoomRequest, DeleteRoomResponse],
  ListParticipants: [ListParticipantsRequest, ListParticipantsResponse],
  GetParticipant: [RoomParticipantIdentity, ParticipantInfo],
  RemoveParticipant: [RoomParticipantIdentity, RemoveParticipantResponse],
  SendData: [SendDataRequest, SendDataResponse],
  UpdateSubscriptions: [UpdateSubscriptionsRequest, UpdateSubscriptionsResponse],
} as const satisfies Record<RoomServiceMethod, readonly [MessageType, MessageType]>;

interface MessageType {
  fromBinary(bytes: Uint8Array, options?: Partial<BinaryReadOptions>): Message;
  fromJson(json: never): Message;
}

/** Rejects strings that are not UTF-8, as LiveKit does. */
const STRICT: Partial<BinaryReadOptions> = {
  readerFactory: (bytes) => new BinaryReader(bytes, new TextDecoder('utf-8', { fatal: true })),
};

/** Returns the request in JSON form; undefined if the body is not a valid message. */
export function fromProtobuf(method: RoomServiceMethod, body: Uint8Array): JsonValue | undefined {
  try {
    return TYPES[method][0].fromBinary(body, STRICT).toJson();
  } catch {
    return undefined;
  }
}

/** Returns the response in protobuf. Errors are JSON in either encoding. */
export function toProtobuf(method: RoomServiceMethod, response: HttpResponse): HttpResponse {
  if (response.status !== 200) return response;
  const message = TYPES[method][1].fromJson(JSON.parse(response.body.toString()));
  return { ...response, contentType: PROTOBUF_TYPE, body: message.toBinary() };
}
