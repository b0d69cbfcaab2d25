import type { LiveKitError } from './livekit-error.ts';
import type { Timestamp } from './time.ts';

/** Whether LiveKit is up, by the last requests. This is the only definition of "LiveKit is up" in hangup. */
export interface BreakerState {
  /** Number of consecutive requests without a response. */
  readonly consecutiveFailures: number;
  readonly firstFailureAt: Timestamp | null;
  /** Time of the first request without a response, once there are {@link FAILURE_THRESHOLD}. Null: closed. */
  readonly openSince: Timestamp | null;
  /** Null until LiveKit has answered a request or the breaker has opened. */
  readonly isUp: boolean | null;
}

export const INITIAL_BREAKER_STATE: BreakerState = {
  consecutiveFailures: 0,
  firstFailureAt: null,
  openSince: null,
  isUp: null,
};
const CLOSED: BreakerState = { ...INITIAL_BREAKER_STATE, isUp: true };

const FAILURE_THRESHOLD = 5;

/** `inconclusive`: the outcome concerns one room or node, and shows nothing about LiveKit itself. */
export type RequestResult = 'answered' | 'unanswered' | 'inconclusive';

export function onRequestFinished(state: BreakerState, result: RequestResult, now: Timestamp): BreakerState {
  switch (result) {
    case 'inconclusive':
      return state;
    case 'answered':
      return CLOSED;
    case 'unanswered': {
      const consecutiveFailures = state.consecutiveFailures + 1;
      const firstFailureAt = state.firstFailureAt ?? now;
      if (consecutiveFailures < FAILURE_THRESHOLD) return { ...state, consecutiveFailures, firstFailureAt };
      return { consecutiveFailures, firstFailureAt, openSince: firstFailureAt, isUp: false };
    }
  }
}

/** Requests that probe the node of a room. */
const PROBES: readonly string[] = ['SendData', 'UpdateSubscriptions'];

/**
 * Returns whether LiveKit answered. LiveKit returns 503 if the node of a room is dead, and for SendData also if the room
 * does not exist. That response takes 3 s, so a probe with a shorter deadline times out although LiveKit is up.
 * @param method LiveKit's name, such as `DeleteRoom`
 */
export function classifyOutcome(
  method: string,
  outcome: { readonly kind: string } | LiveKitError,
): RequestResult {
  if (!isFailure(outcome)) return 'answered';
  if (outcome.kind === 'timed_out') return PROBES.includes(method) ? 'inconclusive' : 'unanswered';
  const isRoomSpecific = method !== 'ListRooms';
  return isRoomSpecific && outcome.code !== null ? 'inconclusive' : 'unanswered';
}

function isFailure(outcome: {
  readonly kind: string;
}): outcome is Extract<LiveKitError, { kind: 'unavailable' | 'timed_out' }> {
  return outcome.kind === 'unavailable' || outcome.kind === 'timed_out';
}
