import type { Finding } from '../finding.ts';

/** Returns a constant finding: the doctor does not join a room, because this would change LiveKit. */
export function assessLiveKitVersion(): Finding {
  return {
    check: 'version',
    level: 'unknown',
    message: 'LiveKit reveals its version only to participants, and the doctor does not join a room',
  };
}
