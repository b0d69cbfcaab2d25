import { ParticipantInfo_Kind } from '@livekit/protocol';
import type { ParticipantInfo } from 'livekit-server-sdk';

/** Returns LiveKit's name for a participant's kind, or its number when this version has no name for it. */
export function kindOf({ kind }: Pick<ParticipantInfo, 'kind'>): string {
  return ParticipantInfo_Kind[kind] ?? String(kind);
}
