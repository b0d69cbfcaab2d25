import { type ParticipantInfo, TrackType, WebhookEvent } from 'livekit-server-sdk';
import { z } from 'zod';
import type { RoomEventPayload } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import type { LiveKitKeyPair, ParsedWebhook, WebhookParser } from '../ports/livekit.ts';
import type { Clock } from '../ports/system.ts';
import { isValidParticipant, isValidRoom, toParticipant, toRoom } from './mapping.ts';
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
      return toParsedWebhook(WebhookEvent.fromJson(json as never, PARSE_OPTIONS), rawNamesOf(json));
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

interface RawNames {
  readonly kind?: string | undefined;
  readonly disconnectReason?: string | undefined;
}

const RawNames = z.object({
  participant: z.object({
    kind: z.string().max(MAX_NAME_LENGTH).optional(),
    disconnectReason: z.string().max(MAX_NAME_LENGTH).optional(),
  }),
});

/** Returns the names in LiveKit's JSON: the SDK parses a name that is newer than this version as the zero value. */
function rawNamesOf(json: unknown): RawNames {
  const parsed = RawNames.safeParse(json);
  return parsed.success ? parsed.data.participant : {};
}

/** Maps a verified webhook. */
export function toParsedWebhook(webhook: WebhookEvent, rawNames: RawNames = {}): ParsedWebhook {
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
  { event, createdAt, participant, track }: WebhookEvent,
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

/** Returns LiveKit's name of the reason. proto3 leaves out the first, UNKNOWN_REASON. */
function disconnectReasonOf(info: ParticipantInfo): string {
  const json = info.toJson();
  const reason =
    json !== null && typeof json === 'object' && 'disconnectReason' in json && json['disconnectReason'];
  return typeof reason === 'string' ? reason : 'UNKNOWN_REASON';
}
