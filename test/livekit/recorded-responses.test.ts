import type { Message } from '@bufbuild/protobuf';
import {
  DeleteRoomResponse,
  ListParticipantsResponse,
  ListRoomsResponse,
  ParticipantInfo,
  RemoveParticipantResponse,
  Room,
  SendDataResponse,
  UpdateSubscriptionsResponse,
} from '@livekit/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type LiveKitUnderTest,
  openWebhookInbox,
  startLiveKit,
  type WebhookInbox,
} from '../harness/livekit.ts';
import { type Exchange, loadRecording, play, RECORDING_NAMES } from './room-service-recordings.ts';
import { createNormalizer } from './volatile-values.ts';

/*
 * The emulator returns the recorded responses of a real server: the same status, content type, error code, message and
 * fields. If LIVEKIT_SERVER is set, the test compares the recordings with that server instead.
 */

const RESPONSE_TYPES: Readonly<Record<string, { fromBinary(bytes: Uint8Array): Message }>> = {
  CreateRoom: Room,
  ListRooms: ListRoomsResponse,
  DeleteRoom: DeleteRoomResponse,
  ListParticipants: ListParticipantsResponse,
  GetParticipant: ParticipantInfo,
  RemoveParticipant: RemoveParticipantResponse,
  SendData: SendDataResponse,
  UpdateSubscriptions: UpdateSubscriptionsResponse,
};

function parseBody({ request, response: { body, contentType } }: Exchange): unknown {
  if ('text' in body) return contentType === 'application/json' ? JSON.parse(body.text) : body.text;
  const type = RESPONSE_TYPES[request.path.split('/').at(-1) ?? ''];
  const message = type?.fromBinary(Buffer.from(body.base64, 'base64'));
  if (message === undefined) throw new Error(`${request.path} returned protobuf`);
  const unknownFields = message.getType().runtime.bin.listUnknownFields(message);
  return { message: message.toJson(), unknownFields: unknownFields.map(({ no }) => no) };
}

const nameOf = (item: object) =>
  JSON.stringify('identity' in item ? item.identity : 'name' in item && item.name);

/** LiveKit lists rooms and participants in random order. */
function sortLists(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortLists);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([field, item]) => [
      field,
      Array.isArray(item) && (field === 'rooms' || field === 'participants')
        ? item.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)))
        : sortLists(item),
    ]),
  );
}

function comparable(exchanges: readonly Exchange[]): unknown[] {
  const normalize = createNormalizer();
  return exchanges.map((exchange) => ({
    request: exchange.request,
    status: exchange.response.status,
    contentType: exchange.response.contentType,
    body: normalize(sortLists(parseBody(exchange))),
  }));
}

let inbox: WebhookInbox;
let livekit: LiveKitUnderTest;
beforeAll(async () => {
  inbox = await openWebhookInbox();
  livekit = await startLiveKit({ webhookUrls: [inbox.url] });
});
afterAll(async () => {
  await livekit.stop();
  await inbox.close();
});

test.each(RECORDING_NAMES)('the responses to the requests of %s equal the recording', async (name) => {
  const { steps, exchanges } = loadRecording(name);
  expect(exchanges.length).toBeGreaterThan(5);
  expect(comparable(await play(steps, livekit, inbox))).toStrictEqual(comparable(exchanges));
});
