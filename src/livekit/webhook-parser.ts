import { DisconnectReason, ParticipantInfo_Kind } from '@livekit/protocol';
import { type TrackInfo, TrackType, WebhookEvent } from 'livekit-server-sdk';
import type { RoomEventPayload } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import type { LiveKitKeyPair, ParsedWebhook, WebhookParser } from '../ports/livekit.ts';
import type { Clock } from '../ports/system.ts';
import {
  isValidParticipant,
  isValidRoom,
  type ParticipantFields,
  type RoomFields,
  toParticipant,
  toRoom,
} from './mapping.ts';
import { isUsualJson, type JsonObject } from './usual-json.ts';
import { createWebhookVerifier } from './webhook-signature.ts';

const MAX_EVENT_ID_LENGTH = 128;
const MAX_NAME_LENGTH = 64;

/** Creates a parser of webhooks that are signed with any of these keys. */
export function createWebhookParser(keys: readonly LiveKitKeyPair[], clock: Clock): WebhookParser {
  const verify = createWebhookVerifier(keys, clock);
  return async (body, token) => {
    const refusal = await verify(body, token);
    if (refusal !== null) return { kind: 'refused', refusal };
    try {
      const json = parseBody(body);
      const fields = fieldsOf(json);
      return toParsedWebhook(fields, rawNamesOf(json));
    } catch (error) {
      return {
        kind: 'malformed',
        reason: error instanceof SyntaxError ? 'the body is not JSON' : 'the body is not a webhook event',
      };
    }
  };
}

/** Returns the JSON value of a body. @throws SyntaxError if the body is not JSON, another error if it is not UTF-8 */
function parseBody(body: Uint8Array): unknown {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body));
}

const PARSE_OPTIONS = { ignoreUnknownFields: true };

/** The fields of a webhook that hangup uses. */
interface WebhookFields extends Pick<WebhookEvent, 'id' | 'createdAt'> {
  readonly event: string;
  readonly room?: RoomFields | undefined;
  readonly participant?: ParticipantFields | undefined;
  readonly track?: Pick<TrackInfo, 'type'> | undefined;
}

/** Returns the fields of a webhook's JSON. @throws Error if the JSON is not a webhook event */
function fieldsOf(json: unknown): WebhookFields {
  if (!isUsualJson(WebhookEvent, json)) return WebhookEvent.fromJson(json as never, PARSE_OPTIONS);
  const { room, participant, track } = json as Readonly<Record<string, JsonObject | undefined>>;
  return {
    event: stringOf(json['event']),
    id: stringOf(json['id']),
    createdAt: bigIntOf(json['createdAt']),
    room: room && roomFields(room),
    participant: participant && participantFields(participant),
    track: track && { type: TrackType[stringOf(track['type']) as keyof typeof TrackType] ?? 0 },
  };
}

function roomFields(room: JsonObject): RoomFields {
  return {
    name: stringOf(room['name']),
    sid: stringOf(room['sid']),
    creationTimeMs: bigIntOf(room['creationTimeMs']),
    creationTime: bigIntOf(room['creationTime']),
    metadata: stringOf(room['metadata']),
  };
}

function participantFields(participant: JsonObject): ParticipantFields {
  const { kind, disconnectReason, attributes, permission } = participant as {
    readonly kind?: keyof typeof ParticipantInfo_Kind;
    readonly disconnectReason?: keyof typeof DisconnectReason;
    readonly attributes?: Readonly<Record<string, string>>;
    readonly permission?: JsonObject;
  };
  return {
    sid: stringOf(participant['sid']),
    identity: stringOf(participant['identity']),
    kind: ParticipantInfo_Kind[kind ?? 'STANDARD'],
    joinedAtMs: bigIntOf(participant['joinedAtMs']),
    joinedAt: bigIntOf(participant['joinedAt']),
    attributes: attributes ?? {},
    disconnectReason: DisconnectReason[disconnectReason ?? 'UNKNOWN_REASON'],
    permission: permission && {
      agent: permission['agent'] === true,
      recorder: permission['recorder'] === true,
      hidden: permission['hidden'] === true,
      canPublish: permission['canPublish'] === true,
    },
  };
}

/* proto3 leaves out a field with its default value. */
const stringOf = (value: unknown) => (typeof value === 'string' ? value : '');
const bigIntOf = (value: unknown) => (typeof value === 'string' ? BigInt(value) : 0n);

interface RawNames {
  readonly kind?: string | undefined;
  readonly disconnectReason?: string | undefined;
}

/** Returns the names in LiveKit's JSON: the SDK parses a name that is newer than this version as the zero value. */
function rawNamesOf(json: unknown): RawNames {
  const { participant } = json as { readonly participant?: JsonObject | null };
  const { kind, disconnectReason } = participant ?? {};
  return isNameOrAbsent(kind) && isNameOrAbsent(disconnectReason) ? { kind, disconnectReason } : {};
}

function isNameOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && value.length <= MAX_NAME_LENGTH);
}

/** Maps a verified webhook. */
export function toParsedWebhook(webhook: WebhookFields, rawNames: RawNames = {}): ParsedWebhook {
  const name = webhook.event;
  const payload = toPayload(webhook, rawNames);
  if (payload === null) return { kind: 'ignored', name };
  const { id, room } = webhook;
  if (id === '' || id.length > MAX_EVENT_ID_LENGTH)
    return { kind: 'malformed', reason: 'the event has no id' };
  if (room === undefined) return { kind: 'malformed', reason: 'the event has no room' };
  const roomRef = toRoom(room);
  if (!isValidRoom(roomRef)) return { kind: 'ignored', name };
  if (payload === 'incomplete') return { kind: 'malformed', reason: 'the event has no participant' };
  return {
    kind: 'event',
    name,
    event: {
      id,
      at: eventTime(payload, roomRef.createdAt) ?? Number(webhook.createdAt) * 1000,
      room: roomRef,
      payload,
    },
  };
}

/** Returns the payload of an event: `incomplete` without a valid participant; null for an event that changes no call. */
function toPayload(
  { event, createdAt, participant, track }: WebhookFields,
  { kind, disconnectReason }: RawNames,
): RoomEventPayload | 'incomplete' | null {
  switch (event) {
    case 'room_started':
      return { kind: event, reportedAt: Number(createdAt) * 1000 };
    case 'room_finished':
      return { kind: event };
    case 'participant_joined':
      return participant === undefined || !isValidParticipant(participant)
        ? 'incomplete'
        : { kind: event, participant: toParticipant(participant, kind) };
    case 'participant_left':
    case 'participant_connection_aborted':
      return participant === undefined || !isValidParticipant(participant)
        ? 'incomplete'
        : {
            kind: event,
            participant: toParticipant(participant, kind),
            reason: disconnectReason ?? disconnectReasonOf(participant),
          };
    case 'track_published':
      if (participant === undefined || track === undefined || !isValidParticipant(participant))
        return 'incomplete';
      return track.type === TrackType.AUDIO
        ? { kind: 'audio_published', participantSid: participant.sid }
        : null;
    default:
      return null;
  }
}

/** Returns the event's time in milliseconds; null if only the webhook's own time exists, which is in seconds. */
function eventTime(payload: RoomEventPayload, createdAt: Timestamp | null): Timestamp | null {
  if (payload.kind === 'room_started') return createdAt;
  return payload.kind === 'participant_joined' ? payload.participant.joinedAt : null;
}

/** Returns LiveKit's name of the reason; UNKNOWN_REASON for a number that this version has no name for. */
function disconnectReasonOf({ disconnectReason }: ParticipantFields): string {
  return DisconnectReason[disconnectReason] ?? DisconnectReason[DisconnectReason.UNKNOWN_REASON];
}
