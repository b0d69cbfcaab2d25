import { formatLiveKitError, type LiveKitError } from './livekit-error.ts';
import { nextAttemptAt, type RetryPolicy } from './retry-policy.ts';
import type { Timestamp } from './time.ts';

/** available: never tried. running: leased to somebody. retryable: failed, will be tried. The rest is final. */
export const OPEN_DELETION_STATES = ['available', 'running', 'retryable'] as const;
export const DELETION_STATES = [...OPEN_DELETION_STATES, 'completed', 'discarded'] as const;
export type DeletionState = (typeof DELETION_STATES)[number];

/** The wish that an ended call's room be gone, and how far it has come. One for each call at most. */
export interface RoomDeletion {
  readonly callId: string;
  readonly roomName: string;
  readonly state: DeletionState;
  /** Attempts begun. With `state` it names a lease: a settlement of another attempt changes nothing. */
  readonly attempt: number;
  /** When it may be claimed: the next attempt's time, and for a running one the end of its lease. */
  readonly scheduledAt: Timestamp;
  readonly attemptedAt: Timestamp | null;
  readonly finalizedAt: Timestamp | null;
  readonly lastError: string | null;
  readonly createdAt: Timestamp;
}

/** What LiveKit made of one DeleteRoom. */
export type DeleteRoomOutcome = { readonly kind: 'deleted' } | { readonly kind: 'absent' } | LiveKitError;

/** After so many attempts a room that LiveKit lists and does not delete is taken for one whose node is dead. */
const RESCUE_FROM_ATTEMPT = 3;

/** Whether an attempt ended as it does for a room whose node is dead: in `unavailable`, or not in time. */
export function isLikelyGhostRoom(
  { attempt }: Pick<RoomDeletion, 'attempt'>,
  outcome: DeleteRoomOutcome,
): boolean {
  return attempt >= RESCUE_FROM_ATTEMPT && (outcome.kind === 'unavailable' || outcome.kind === 'timed_out');
}

/** How a lease ends. */
export type AttemptResult =
  | { readonly state: 'completed' }
  | { readonly state: 'retryable'; readonly retryAfterMs: number; readonly lastError: string }
  | { readonly state: 'discarded'; readonly lastError: string };

const MAX_ERROR_LENGTH = 500;

/** What an attempt's outcome leads to. A room that is not there counts as deleted. */
export function resolveAttempt(
  deletion: Pick<RoomDeletion, 'attempt' | 'createdAt'>,
  outcome: DeleteRoomOutcome,
  { policy, now, random }: { policy: RetryPolicy; now: Timestamp; random: number },
): AttemptResult {
  if (outcome.kind === 'deleted' || outcome.kind === 'absent') return { state: 'completed' };
  // LiveKit's words are untrusted in length.
  const lastError = formatLiveKitError(outcome).slice(0, MAX_ERROR_LENGTH);
  const since = deletion.createdAt;
  const next = nextAttemptAt(policy, { now, since, attempt: deletion.attempt, random });
  if (next === null) return { state: 'discarded', lastError };
  const requestedMs = outcome.kind === 'rate_limited' ? (outcome.retryAfterMs ?? 0) : 0;
  return {
    state: 'retryable',
    retryAfterMs: Math.min(Math.max(next - now, requestedMs), policy.maxDelayMs),
    lastError,
  };
}
