import { ParticipantInfo_Kind } from '@livekit/protocol';
import type { ParticipantInfo } from 'livekit-server-sdk';

/** Returns LiveKit's name for a participant's kind, or its number when this version has no name for it. */
export function kindOf({ kind }: ParticipantInfo): string {
  return ParticipantInfo_Kind[kind] ?? String(kind);
}

/**
 * The same out of LiveKit's JSON. Its parser takes a name that is newer than this version for STANDARD, which would
 * make a person of it.
 */
export function kindFrom(json: unknown, info: ParticipantInfo): string {
  const isNamed =
    typeof json === 'object' && json !== null && 'kind' in json && typeof json.kind === 'string';
  return isNamed ? String(json.kind).slice(0, 64) : kindOf(info);
}
