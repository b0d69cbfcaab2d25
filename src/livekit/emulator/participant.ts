import { randomUUID } from 'node:crypto';
import { ParticipantInfo, TrackInfo } from 'livekit-server-sdk';
import type { Surroundings } from './surroundings.ts';

/** LiveKit's words for what a participant is (livekit_models.proto, ParticipantInfo.Kind). */
export type ParticipantKind = 'STANDARD' | 'INGRESS' | 'EGRESS' | 'SIP' | 'AGENT' | 'CONNECTOR' | 'BRIDGE';

export interface JoiningParticipant {
  readonly identity: string;
  readonly name?: string;
  /** STANDARD unless told. */
  readonly kind?: ParticipantKind;
  readonly metadata?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** As livekit-sip joins when it is SIP, else as LiveKit's client for Node does. */
export function newParticipant(joining: JoiningParticipant, surroundings: Surroundings): ParticipantInfo {
  const kind = joining.kind ?? 'STANDARD';
  const now = surroundings.now();
  // Through JSON, because the SDK exports few of these enums.
  return ParticipantInfo.fromJson({
    sid: newId('PA_', surroundings),
    identity: joining.identity,
    name: joining.name ?? '',
    metadata: joining.metadata ?? '',
    state: 'ACTIVE',
    joinedAt: String(Math.floor(now / 1000)),
    joinedAtMs: String(now),
    version: 2,
    permission: {
      canSubscribe: true,
      canPublish: true,
      canPublishData: true,
      canUpdateMetadata: kind === 'SIP',
      agent: kind === 'AGENT',
    },
    kind,
    attributes: { ...joining.attributes },
    ...(kind !== 'SIP' && {
      clientProtocol: 2,
      capabilities: ['CAP_PACKET_TRAILER', 'CAP_COMPRESSION_DEFLATE_RAW'],
    }),
  });
}

export function newAudioTrack(kind: ParticipantKind, name: string, surroundings: Surroundings): TrackInfo {
  const [mimeType, mid, cid] =
    kind === 'SIP' ? ['audio/opus', '0', 'audio'] : ['audio/red', '7', randomUUID()];
  return TrackInfo.fromJson({
    sid: newId('TR_AM', surroundings),
    type: 'AUDIO',
    name,
    source: 'MICROPHONE',
    mimeType,
    mid,
    codecs: [{ mimeType, mid, cid, videoLayerMode: 'ONE_SPATIAL_LAYER_PER_STREAM' }],
    stream: 'camera',
    version: { unixMicro: String(surroundings.now() * 1000) },
    backupCodecPolicy: 'SIMULCAST',
  });
}

/** Merges; an empty value takes an attribute away. */
export function mergeAttributes(info: ParticipantInfo, attributes: Readonly<Record<string, string>>): void {
  const merged = Object.entries({ ...info.attributes, ...attributes });
  info.attributes = Object.fromEntries(merged.filter(([, value]) => value !== ''));
  info.version += 1;
}

const ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** LiveKit's ids: twelve random characters behind the prefix. */
export function newId(prefix: string, { randomBytes }: Pick<Surroundings, 'randomBytes'>): string {
  return prefix + Array.from(randomBytes(12), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}
