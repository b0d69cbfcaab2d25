import type { Message } from '@bufbuild/protobuf';
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
import type { Answer } from './twirp.ts';

const PROTOBUF_TYPE = 'application/protobuf';

/** What goes in and what comes out, as livekit_room.proto has it. */
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
  fromBinary(bytes: Uint8Array): Message;
  fromJson(json: never): Message;
}

/** The request as JSON would have said it; undefined when it is none. */
export function fromProtobuf(method: RoomServiceMethod, body: Uint8Array): unknown {
  try {
    return TYPES[method][0].fromBinary(body).toJson();
  } catch {
    return undefined;
  }
}

/** The same answer in protobuf; errors are JSON in either encoding. */
export function toProtobuf(method: RoomServiceMethod, answer: Answer): Answer {
  if (answer.status !== 200) return answer;
  const message = TYPES[method][1].fromJson(JSON.parse(answer.body.toString()));
  return { ...answer, contentType: PROTOBUF_TYPE, body: message.toBinary() };
}
