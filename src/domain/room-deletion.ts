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

/**
 * What LiveKit made of one DeleteRoom.
 * unavailable: not reached, or a 5xx. timed_out: no answer within the deadline, done or not.
 * refused: it said no: to the credentials, to the address (what answers there is no LiveKit), or to the request.
 */
export type DeleteRoomOutcome =
  | { readonly kind: 'deleted' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unavailable'; readonly detail: string }
  | { readonly kind: 'timed_out'; readonly detail: string }
  | {
      readonly kind: 'refused';
      readonly by: 'credentials' | 'address' | 'request';
      /** LiveKit's word, such as `permission_denied`. */
      readonly code: string;
      readonly detail: string;
    };

/** How a lease ends. */
export type Settlement =
  | { readonly state: 'completed' }
  | { readonly state: 'retryable'; readonly scheduledAt: Timestamp; readonly lastError: string }
  | { readonly state: 'discarded'; readonly lastError: string };

const MAX_ERROR_LENGTH = 500;

/** What an attempt's outcome leads to. A room that is not there counts as deleted. */
export function settle(
  deletion: Pick<RoomDeletion, 'attempt' | 'createdAt'>,
  outcome: DeleteRoomOutcome,
  { policy, now, random }: { policy: RetryPolicy; now: Timestamp; random: number },
): Settlement {
  if (outcome.kind === 'deleted' || outcome.kind === 'absent') return { state: 'completed' };
  const lastError = describeFailure(outcome);
  const scheduledAt = nextAttemptAt(policy, {
    now,
    since: deletion.createdAt,
    attempt: deletion.attempt,
    random,
  });
  return scheduledAt === null
    ? { state: 'discarded', lastError }
    : { state: 'retryable', scheduledAt, lastError };
}

function describeFailure(outcome: Exclude<DeleteRoomOutcome, { kind: 'deleted' | 'absent' }>): string {
  const word = outcome.kind === 'refused' ? `refused (${outcome.code})` : outcome.kind;
  // LiveKit's words are untrusted in length.
  return `${word}: ${outcome.detail}`.slice(0, MAX_ERROR_LENGTH);
}
