export const LIVE_STATUSES = ['initiated', 'connecting', 'ringing', 'active'] as const;
export const ENDED_STATUSES = ['completed', 'failed', 'cancelled', 'no_answer', 'busy'] as const;
export const CALL_STATUSES = [...LIVE_STATUSES, ...ENDED_STATUSES] as const;
export const DIRECTIONS = ['inbound', 'outbound'] as const;

export type LiveStatus = (typeof LIVE_STATUSES)[number];
export type EndedStatus = (typeof ENDED_STATUSES)[number];
export type CallStatus = LiveStatus | EndedStatus;
export type Direction = (typeof DIRECTIONS)[number];

/**
 * The statuses that may follow a live status. Steps may be skipped, because a webhook can be lost, but never reversed.
 * An active call never becomes no_answer or busy: these end an unanswered call.
 */
const TRANSITIONS: Record<LiveStatus, readonly CallStatus[]> = {
  initiated: ['connecting', 'ringing', 'active', ...ENDED_STATUSES],
  connecting: ['ringing', 'active', ...ENDED_STATUSES],
  ringing: ['active', ...ENDED_STATUSES],
  active: ['completed', 'failed', 'cancelled'],
};

export function isLive(status: CallStatus): status is LiveStatus {
  return (LIVE_STATUSES as readonly CallStatus[]).includes(status);
}

/** Whether a call may change from one status to another. An ended call never changes its status. */
export function canTransition(from: CallStatus, to: CallStatus): boolean {
  return isLive(from) && TRANSITIONS[from].includes(to);
}
