import type { LiveKitFailure } from './livekit-failure.ts';
import type { Timestamp } from './time.ts';

/** Whether LiveKit is there, from how the last requests to it ended. */
export interface Presence {
  /** Unanswered requests in a row. */
  readonly unanswered: number;
  /** Since the first of them, once there are enough. */
  readonly awaySince: Timestamp | null;
  readonly firstAt: Timestamp | null;
}

export const PRESENT: Presence = { unanswered: 0, awaySince: null, firstAt: null };

const AWAY_AFTER = 5;

/** @param failure null for a request that LiveKit answered, whatever it said */
export function afterRequest(
  presence: Presence,
  failure: Extract<LiveKitFailure, { kind: 'unavailable' | 'timed_out' }> | null,
  now: Timestamp,
): Presence {
  if (failure === null) return presence.unanswered === 0 ? presence : PRESENT;
  const unanswered = presence.unanswered + 1;
  const firstAt = presence.firstAt ?? now;
  return { unanswered, firstAt, awaySince: unanswered >= AWAY_AFTER ? firstAt : null };
}
