import { createHash, randomUUID } from 'node:crypto';
import { AccessToken } from 'livekit-server-sdk';
import { API_KEY, API_SECRET } from './livekit.ts';

/** Returns a token for a body, signed as LiveKit signs its webhooks. */
export async function sign(
  body: string | Buffer,
  {
    apiKey = API_KEY,
    apiSecret = API_SECRET,
    ttl = 300,
  }: { apiKey?: string; apiSecret?: string; ttl?: number } = {},
): Promise<string> {
  const token = new AccessToken(apiKey, apiSecret, { ttl });
  token.sha256 = createHash('sha256').update(body).digest('base64');
  return token.toJwt();
}

/** Posts a webhook. The body is signed as LiveKit signs it, unless `headers` is given. */
export async function postWebhook(
  hangupUrl: string,
  body: string | Buffer,
  headers?: Record<string, string>,
): Promise<{ status: number; body: unknown; retryAfter?: string }> {
  const response = await fetch(`${hangupUrl}/webhooks/livekit`, {
    method: 'POST',
    headers: headers ?? {
      'content-type': 'application/webhook+json',
      authorization: await sign(body),
    },
    body,
  });
  const retryAfter = response.headers.get('retry-after');
  return { status: response.status, body: await response.json(), ...(retryAfter !== null && { retryAfter }) };
}

interface Person {
  readonly sid: string;
  readonly identity: string;
  /** Absent for STANDARD: proto3 omits zero values. */
  readonly kind?: 'SIP' | 'AGENT' | 'EGRESS' | 'INGRESS';
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Returns builders for the webhooks of one session of a room, in LiveKit's JSON. Times are milliseconds. */
export function roomWebhooks(
  name: string,
  { sid = `RM_${randomUUID()}`, createdAt = Date.now(), metadata = '' } = {},
) {
  const room = {
    sid,
    name,
    emptyTimeout: 300,
    departureTimeout: 20,
    creationTime: String(Math.floor(createdAt / 1000)),
    creationTimeMs: String(createdAt),
    turnPassword: 'never-store-this',
    ...(metadata && { metadata }),
  };
  const webhook = (event: string, about: object, at = Date.now()) =>
    JSON.stringify({
      event,
      room,
      ...about,
      id: `EV_${randomUUID()}`,
      createdAt: String(Math.floor(at / 1000)),
    });
  const person = (participant: Person) => ({
    ...participant,
    state: 'ACTIVE',
    joinedAt: String(Math.floor(Date.now() / 1000)),
    joinedAtMs: String(Date.now()),
  });
  return {
    sid,
    started: () => webhook('room_started', {}),
    finished: () => webhook('room_finished', {}),
    joined: (participant: Person) => webhook('participant_joined', { participant: person(participant) }),
    left: (participant: Person, disconnectReason?: string, event = 'participant_left') =>
      webhook(event, {
        participant: {
          ...person(participant),
          state: 'DISCONNECTED',
          ...(disconnectReason && { disconnectReason }),
        },
      }),
    published: ({ sid: participantSid, identity }: Person, type?: 'VIDEO') =>
      JSON.stringify({
        event: 'track_published',
        room: { sid, name },
        participant: { sid: participantSid, identity },
        track: {
          sid: `TR_${randomUUID()}`,
          source: 'MICROPHONE',
          mimeType: 'audio/opus',
          ...(type && { type }),
        },
        id: `EV_${randomUUID()}`,
        createdAt: String(Math.floor(Date.now() / 1000)),
      }),
  };
}

export const AGENT: Person = { sid: 'PA_agent', identity: 'agent', kind: 'AGENT' };
export const HUMAN: Person = { sid: 'PA_human', identity: 'human' };

export function outboundPhone(callStatus: string, { answered = false } = {}): Person {
  return {
    sid: 'PA_phone',
    identity: 'phone',
    kind: 'SIP',
    attributes: {
      'sip.callID': 'SCL_1',
      'sip.callStatus': callStatus,
      'sip.phoneNumber': '+15551234567',
      'sip.trunkID': 'ST_1',
      'sip.trunkPhoneNumber': '+15550001',
      ...(answered && { 'sip.callTag': 'tag' }),
    },
  };
}

export function inboundPhone(callStatus: string): Person {
  return {
    sid: 'PA_phone',
    identity: 'sip_+15557770001',
    kind: 'SIP',
    attributes: {
      'sip.callID': 'SCL_1',
      'sip.callStatus': callStatus,
      'sip.callTag': 'tag',
      'sip.phoneNumber': '+15557770001',
      'sip.ruleID': 'SDR_1',
      'sip.trunkID': 'ST_1',
      'sip.trunkPhoneNumber': '+15550002',
    },
  };
}
