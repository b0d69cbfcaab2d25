import {
  type AttemptOutcome,
  type LeasedTask,
  OPEN_TASK_STATES,
  TASK_STATES,
  type TaskState,
} from './leased-task.ts';
import { formatLiveKitError, type LiveKitError } from './livekit-error.ts';

export const OPEN_DELETION_STATES = OPEN_TASK_STATES;
export const DELETION_STATES = TASK_STATES;
export type DeletionState = TaskState;

/** The task of deleting the room of an ended call. A call has one at most. */
export interface RoomDeletion extends LeasedTask {
  readonly callId: string;
  readonly roomName: string;
  /** The cancellation that cancelled the call: its deletions come first, and it counts them. */
  readonly cancellationId: string | null;
}

/** LiveKit's response to one DeleteRoom. */
export type DeleteRoomOutcome = { readonly kind: 'deleted' } | { readonly kind: 'absent' } | LiveKitError;

/** Returns the task outcome of a DeleteRoom. An absent room counts as deleted. */
export function toAttemptOutcome(outcome: DeleteRoomOutcome): AttemptOutcome {
  if (outcome.kind === 'deleted' || outcome.kind === 'absent') return { kind: 'succeeded' };
  const minRetryDelayMs = outcome.kind === 'rate_limited' ? (outcome.retryAfterMs ?? 0) : 0;
  return { kind: 'failed', error: formatLiveKitError(outcome), minRetryDelayMs };
}

/** Attempts at a listed room before its node counts as dead. */
const RESCUE_FROM_ATTEMPT = 3;

/** Whether an attempt ended like one at a room whose node is dead: `unavailable`, or without a response in time. */
export function isLikelyGhostRoom(
  { attempt }: Pick<RoomDeletion, 'attempt'>,
  outcome: DeleteRoomOutcome,
): boolean {
  return attempt >= RESCUE_FROM_ATTEMPT && (outcome.kind === 'unavailable' || outcome.kind === 'timed_out');
}
