import { randomUUID } from 'node:crypto';
import { ParticipantInfo_Kind } from '@livekit/protocol';
import { ParticipantInfo, TrackInfo } from 'livekit-server-sdk';
import type { Surroundings } from './surroundings.ts';

/** A participant's kind by LiveKit's name (livekit_models.proto), or by the number of a kind that is not known yet. */
export type ParticipantKind = keyof typeof ParticipantInfo_Kind | number;

/** Grants as LiveKit reports them (livekit_models.proto, ParticipantPermission). */
export interface GrantedPermission {
  readonly canSubscribe?: boolean;
  readonly canPublish?: boolean;
  /** As canPublish by default. */
  readonly canPublishData?: boolean;
  readonly canUpdateMetadata?: boolean;
  readonly hidden?: boolean;
  readonly recorder?: boolean;
  readonly agent?: boolean;
}

export interface JoiningParticipant {
  readonly identity: string;
  readonly name?: string;
  /** STANDARD by default. */
  readonly kind?: ParticipantKind;
  readonly metadata?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  /** Replaces single grants of its kind. */
  readonly permission?: GrantedPermission;
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
      canPublishData: joining.permission?.canPublish ?? true,
      canUpdateMetadata: kind === 'SIP',
      agent: kind === 'AGENT',
      ...joining.permission,
    },
    kind,
    attributes: { ...joining.attributes },
    ...(kind !== 'SIP' && {
      clientProtocol: 2,
      capabilities: ['CAP_PACKET_TRAILER', 'CAP_COMPRESSION_DEFLATE_RAW'],
    }),
  });
}

/** Whether LiveKit counts the participant as dependent: it keeps no room open and is in no count of participants. */
export function isDependent({ kind, permission }: ParticipantInfo): boolean {
  if (kind === ParticipantInfo_Kind.AGENT || kind === ParticipantInfo_Kind.EGRESS) return true;
  return permission?.agent === true || permission?.recorder === true;
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
