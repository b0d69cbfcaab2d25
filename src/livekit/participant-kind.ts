import type { ParticipantInfo } from 'livekit-server-sdk';

// The SDK does not export this enum of livekit_models.proto.
const KINDS: Readonly<Record<number, string>> = {
  0: 'STANDARD',
  1: 'INGRESS',
  2: 'EGRESS',
  3: 'SIP',
  4: 'AGENT',
  7: 'CONNECTOR',
  8: 'BRIDGE',
};

/** LiveKit's word for what a participant is; its number when the word is new. */
export function kindOf({ kind }: ParticipantInfo): string {
  return KINDS[kind] ?? String(kind);
}
