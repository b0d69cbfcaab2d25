import { ParticipantInfo_Kind } from '@livekit/protocol';
import { ParticipantInfo, TrackInfo } from 'livekit-server-sdk';
import { type Environment, newId, newUuid } from './environment.ts';

/** LiveKit's name of a participant kind (livekit_models.proto), or the number of a kind that is not defined yet. */
export type ParticipantKind = keyof typeof ParticipantInfo_Kind | number;

/** Grants in LiveKit's format (livekit_models.proto, ParticipantPermission). */
export interface GrantedPermission {
  readonly canSubscribe?: boolean;
  readonly canPublish?: boolean;
  /** Equal to canPublish by default. */
  readonly canPublishData?: boolean;
  readonly canUpdateMetadata?: boolean;
  readonly hidden?: boolean;
  readonly recorder?: boolean;
  readonly agent?: boolean;
}

export interface ParticipantOptions {
  readonly identity: string;
  readonly name?: string;
  /** STANDARD by default. */
  readonly kind?: ParticipantKind;
  readonly metadata?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  /** Overrides the kind's default grants. */
  readonly permission?: GrantedPermission;
}

/** Returns a participant with the fields that livekit-sip (kind SIP) or LiveKit's client for Node (other kinds) sends. */
export function newParticipant(options: ParticipantOptions, environment: Environment): ParticipantInfo {
  const kind = options.kind ?? 'STANDARD';
  const now = environment.now();
  // The message is made from JSON, because the SDK exports few of these enums.
  return ParticipantInfo.fromJson({
    sid: newId('PA_', environment),
    identity: options.identity,
    name: options.name ?? '',
    metadata: options.metadata ?? '',
    state: 'ACTIVE',
    joinedAt: String(Math.floor(now / 1000)),
    joinedAtMs: String(now),
    version: 2,
    permission: {
      canSubscribe: true,
      canPublish: true,
      canPublishData: options.permission?.canPublish ?? true,
      canUpdateMetadata: kind === 'SIP',
      agent: kind === 'AGENT',
      ...options.permission,
    },
    kind,
    attributes: { ...options.attributes },
    ...(kind !== 'SIP' && {
      clientProtocol: 2,
      capabilities: ['CAP_PACKET_TRAILER', 'CAP_COMPRESSION_DEFLATE_RAW'],
    }),
  });
}

/** Whether the participant is dependent: LiveKit neither counts it nor keeps the room open for it. */
export function isDependent({ kind, permission }: ParticipantInfo): boolean {
  if (kind === ParticipantInfo_Kind.AGENT || kind === ParticipantInfo_Kind.EGRESS) return true;
  return permission?.agent === true || permission?.recorder === true;
}

export function newAudioTrack(kind: ParticipantKind, name: string, environment: Environment): TrackInfo {
  const [mimeType, mid, cid] =
    kind === 'SIP' ? ['audio/opus', '0', 'audio'] : ['audio/red', '7', newUuid(environment)];
  return TrackInfo.fromJson({
    sid: newId('TR_AM', environment),
    type: 'AUDIO',
    name,
    source: 'MICROPHONE',
    mimeType,
    mid,
    codecs: [{ mimeType, mid, cid, videoLayerMode: 'ONE_SPATIAL_LAYER_PER_STREAM' }],
    stream: 'camera',
    version: { unixMicro: String(environment.now() * 1000) },
    backupCodecPolicy: 'SIMULCAST',
  });
}

/** Sets the given attributes; an empty value removes an attribute. */
export function mergeAttributes(info: ParticipantInfo, attributes: Readonly<Record<string, string>>): void {
  const merged = Object.entries({ ...info.attributes, ...attributes });
  info.attributes = Object.fromEntries(merged.filter(([, value]) => value !== ''));
  info.version += 1;
}
