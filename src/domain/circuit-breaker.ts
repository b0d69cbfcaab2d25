import type { LiveKitError } from './livekit-error.ts';
import type { Timestamp } from './time.ts';

/** Whether LiveKit answers, by the outcomes of the last requests. hangup has no other definition of it. */
export interface BreakerState {
  /** Unanswered requests in a row. */
  readonly consecutiveFailures: number;
  readonly firstFailureAt: Timestamp | null;
  /** The first of the unanswered requests, once there are {@link FAILURE_THRESHOLD} of them. */
  readonly openSince: Timestamp | null;
  /** Null until LiveKit has answered a request, or has left enough of them unanswered. */
  readonly isUp: boolean | null;
}

export const UNKNOWN: BreakerState = {
  consecutiveFailures: 0,
  firstFailureAt: null,
  openSince: null,
  isUp: null,
};
const CLOSED: BreakerState = { ...UNKNOWN, isUp: true };

const FAILURE_THRESHOLD = 5;

/** One request's outcome. `inconclusive`: it shows nothing about LiveKit as a whole. */
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

/** The requests that show whether the node of a room answers. */
const PROBES: readonly string[] = ['SendData', 'UpdateSubscriptions'];

/**
 * LiveKit answers 503 when the node of a room is dead, and to SendData also when the room is absent. That answer takes
 * 3 s, so a probe with a shorter deadline times out although LiveKit is up.
 * @param method LiveKit's name, such as `DeleteRoom`
 */
export function resultOf(method: string, outcome: { readonly kind: string } | LiveKitError): RequestResult {
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
