import { createHash } from 'node:crypto';
import { type ParticipantInfo, TokenVerifier, TrackType, WebhookEvent } from 'livekit-server-sdk';
import { z } from 'zod';
import type { RoomEventPayload } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import { checkClaims, type WebhookClaims, type WebhookRefusal } from '../domain/webhook-refusal.ts';
import type { ParsedWebhook, WebhookParser } from '../ports/livekit.ts';
import type { Clock } from '../ports/system.ts';
import { isNamed, isOurRoom, toParticipant, toRoom } from './mapping.ts';

interface KeyPair {
  readonly apiKey: string;
  readonly apiSecret: string;
}

const MAX_EVENT_ID_LENGTH = 128;
const MAX_WORD_LENGTH = 64;
const JWT = /^[\w-]+\.([\w-]+)\.[\w-]*$/;
/** An API key id that the log may show as it is. */
const PLAIN_API_KEY = /^[\x21-\x7e]{1,64}$/;

/** Reads webhooks that are signed with any of these keys. */
export function createWebhookParser(keys: readonly KeyPair[], clock: Clock): WebhookParser {
  const verifiers = keys.map(({ apiKey, apiSecret }) => new TokenVerifier(apiKey, apiSecret));

  return async (body, token) => {
    const [, payload] = JWT.exec(token ?? '') ?? [];
    if (token === undefined || payload === undefined) {
      return { kind: 'refused', refusal: { reason: 'missing_token' } };
    }
    // Without a verified signature, every claim is an attacker's: no other reason may follow from one.
    const claims = await verifiedClaims(verifiers, token);
    if (claims === null) return { kind: 'refused', refusal: badSignature(payload, keys) };
    const bodySha256 = createHash('sha256').update(body).digest('base64');
    const refusal = checkClaims(claims, { now: clock.now(), bodySha256 });
    if (refusal !== null) return { kind: 'refused', refusal };
    try {
      const json = parseJson(body);
      return toReadWebhook(WebhookEvent.fromJson(json as never, LENIENT), wordsOf(json));
    } catch (error) {
      return { kind: 'malformed', why: error instanceof SyntaxError ? 'no JSON' : 'no webhook event' };
    }
  };
}

/** Claims of a token that one of the keys signed, whatever its times; null for any other token. */
async function verifiedClaims(
  verifiers: readonly TokenVerifier[],
  token: string,
): Promise<WebhookClaims | null> {
  for (const verifier of verifiers) {
    try {
      const { nbf, exp, sha256 } = await verifier.verify(token, Number.POSITIVE_INFINITY);
      // The verifier requires `exp`; its type does not say so.
      if (exp !== undefined) return { nbf, exp, sha256 };
    } catch {
      // Another key's, or not a token that LiveKit makes.
    }
  }
  return null;
}

function badSignature(payload: string, keys: readonly KeyPair[]): WebhookRefusal {
  const named = issuerOf(payload);
  // A sender that has key and secret mixed up names the secret.
  const isLoggable = PLAIN_API_KEY.test(named) && !keys.some(({ apiSecret }) => named.includes(apiSecret));
  return {
    reason: 'bad_signature',
    livekitApiKey: isLoggable ? named : null,
    isLivekitApiKeyConfigured: keys.some(({ apiKey }) => apiKey === named),
  };
}

/** The claim `iss` of a token that is not verified; empty when there is none. */
function issuerOf(payload: string): string {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const named = claims !== null && typeof claims === 'object' && 'iss' in claims && claims.iss;
    return typeof named === 'string' ? named : '';
  } catch {
    return '';
  }
}

/** @throws SyntaxError for no JSON, another error for no UTF-8 */
function parseJson(body: Uint8Array): unknown {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body));
}

const LENIENT = { ignoreUnknownFields: true };

interface Words {
  readonly kind?: string | undefined;
  readonly disconnectReason?: string | undefined;
}

const Words = z.object({
  participant: z.object({
    kind: z.string().max(MAX_WORD_LENGTH).optional(),
    disconnectReason: z.string().max(MAX_WORD_LENGTH).optional(),
  }),
});

/** LiveKit's own words for a participant: its parser takes one that is newer than this version for the zero value. */
function wordsOf(json: unknown): Words {
  const parsed = Words.safeParse(json);
  return parsed.success ? parsed.data.participant : {};
}

/** What a webhook says, once it is known to be LiveKit's. */
export function toReadWebhook(webhook: WebhookEvent, words: Words = {}): ParsedWebhook {
  const name = webhook.event;
  const payload = signOf(webhook, words);
  if (payload === null) return { kind: 'ignored', name };
  const { id, room } = webhook;
  if (id === '' || id.length > MAX_EVENT_ID_LENGTH) return { kind: 'malformed', why: 'no event id' };
  if (room === undefined) return { kind: 'malformed', why: 'an event without its room' };
  const told = toRoom(room);
  if (!isOurRoom(told)) return { kind: 'ignored', name };
  if (payload === 'incomplete') return { kind: 'malformed', why: 'an event without its participant' };
  return {
    kind: 'event',
    name,
    event: {
      id,
      at: timeOf(payload, told.createdAt) ?? Number(webhook.createdAt) * 1000,
      room: told,
      payload,
    },
  };
}

/** Null for what moves no call. */
function signOf(
  { event, createdAt, participant, track }: WebhookEvent,
  { kind, disconnectReason }: Words,
): RoomEventPayload | 'incomplete' | null {
  switch (event) {
    case 'room_started':
      return { kind: event, reportedAt: Number(createdAt) * 1000 };
    case 'room_finished':
      return { kind: event };
    case 'participant_joined':
      return participant === undefined || !isNamed(participant)
        ? 'incomplete'
        : { kind: event, participant: toParticipant(participant, kind) };
    case 'participant_left':
    case 'participant_connection_aborted':
      return participant === undefined || !isNamed(participant)
        ? 'incomplete'
        : {
            kind: event,
            participant: toParticipant(participant, kind),
            reason: disconnectReason ?? reasonOf(participant),
          };
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
function timeOf(payload: RoomEventPayload, createdAt: Timestamp | null): Timestamp | null {
  if (payload.kind === 'room_started') return createdAt;
  return payload.kind === 'participant_joined' ? payload.participant.joinedAt : null;
}

/** LiveKit's word; proto3 leaves the first one, UNKNOWN_REASON, out. */
function reasonOf(info: ParticipantInfo): string {
  const json = info.toJson();
  const reason =
    json !== null && typeof json === 'object' && 'disconnectReason' in json && json['disconnectReason'];
  return typeof reason === 'string' ? reason : 'UNKNOWN_REASON';
}
