import { createHash, timingSafeEqual } from 'node:crypto';
import {
  type ParticipantInfo,
  TokenVerifier,
  TrackType,
  type WebhookEvent,
  WebhookReceiver,
} from 'livekit-server-sdk';
import type { ReadWebhook, WebhookReader } from '../domain/ports.ts';
import type { RoomSign } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import { isNamed, isOurRoom, toParticipant, toRoom } from './protocol.ts';

interface KeyPair {
  readonly apiKey: string;
  readonly apiSecret: string;
}

const MAX_EVENT_ID_LENGTH = 128;

/** Reads webhooks that are signed with any of these keys. */
export function webhookReader(keys: readonly KeyPair[]): WebhookReader {
  const receivers = keys.map(({ apiKey, apiSecret }) => ({
    receiver: new WebhookReceiver(apiKey, apiSecret),
    verifier: new TokenVerifier(apiKey, apiSecret),
  }));

  return async (body, authorization) => {
    for (const { receiver, verifier } of receivers) {
      try {
        return toReadWebhook(await receiver.receive(Buffer.from(body).toString(), authorization));
      } catch (error) {
        // The receiver does not tell a bad signature from a bad body.
        if (await isSigned(verifier, body, authorization)) {
          return { kind: 'malformed', why: error instanceof SyntaxError ? 'no JSON' : 'no webhook event' };
        }
      }
    }
    return { kind: 'unsigned' };
  };
}

async function isSigned(verifier: TokenVerifier, body: Uint8Array, token: string): Promise<boolean> {
  try {
    const { sha256 = '' } = await verifier.verify(token);
    const expected = createHash('sha256').update(body).digest();
    const told = Buffer.from(sha256, 'base64');
    return told.length === expected.length && timingSafeEqual(told, expected);
  } catch {
    return false;
  }
}

/** What a webhook says, once it is known to be LiveKit's. */
export function toReadWebhook(webhook: WebhookEvent): ReadWebhook {
  const name = webhook.event;
  const sign = signOf(webhook);
  if (sign === null) return { kind: 'ignored', name };
  const { id, room } = webhook;
  if (id === '' || id.length > MAX_EVENT_ID_LENGTH) return { kind: 'malformed', why: 'no event id' };
  if (room === undefined) return { kind: 'malformed', why: 'an event without its room' };
  const told = toRoom(room);
  if (!isOurRoom(told)) return { kind: 'ignored', name };
  if (sign === 'incomplete') return { kind: 'malformed', why: 'an event without its participant' };
  return {
    kind: 'event',
    name,
    event: {
      id,
      at: timeOf(sign, told.createdAt) ?? Number(webhook.createdAt) * 1000,
      room: told,
      sign,
    },
  };
}

/** Null for what moves no call. */
function signOf({ event, participant, track }: WebhookEvent): RoomSign | 'incomplete' | null {
  switch (event) {
    case 'room_started':
    case 'room_finished':
      return { kind: event };
    case 'participant_joined':
      return participant === undefined || !isNamed(participant)
        ? 'incomplete'
        : { kind: event, participant: toParticipant(participant) };
    case 'participant_left':
    case 'participant_connection_aborted':
      return participant === undefined || !isNamed(participant)
        ? 'incomplete'
        : { kind: event, participant: toParticipant(participant), reason: reasonOf(participant) };
    case 'track_published':
      if (participant === undefined || track === undefined || !isNamed(participant)) return 'incomplete';
      return track.type === TrackType.AUDIO
        ? { kind: 'audio_published', participantSid: participant.sid }
        : null;
    default:
      return null;
  }
}

/** Finer than the event's own time, which has whole seconds. */
function timeOf(sign: RoomSign, createdAt: Timestamp | null): Timestamp | null {
  if (sign.kind === 'room_started') return createdAt;
  return sign.kind === 'participant_joined' ? sign.participant.joinedAt : null;
}

/** LiveKit's word; proto3 leaves the first one, UNKNOWN_REASON, out. */
function reasonOf(info: ParticipantInfo): string {
  const json = info.toJson();
  const reason =
    json !== null && typeof json === 'object' && 'disconnectReason' in json && json['disconnectReason'];
  return typeof reason === 'string' ? reason : 'UNKNOWN_REASON';
}
