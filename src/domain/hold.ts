import type { Call } from './call.ts';
import type { AppliedChange, CallChange, CallDecision } from './call-change.ts';
import { isLive } from './call-status.ts';
import { cancelledCall } from './cancel-change.ts';
import type { CallFilter, Cancellation, CancellationSelector } from './cancellation.ts';
import type { RoomDeletion } from './room-deletion.ts';
import type { Timestamp } from './time.ts';

/** A cancellation that refuses new matching calls, and cancels calls that start to match. */
export type ActiveHold = Pick<Cancellation, 'id' | 'organizationId' | 'selector' | 'reason' | 'createdBy'>;

/** A running cancellation, whose matching calls may wait to be recorded. */
export type RunningCancellation = ActiveHold;

/** Returns whether a cancellation selects a call, if the call is live. */
export function isSelected(call: Call, selector: CancellationSelector): boolean {
  if ('callIds' in selector) return selector.callIds.includes(call.id);
  return 'all' in selector || matchesFilter(call, selector.filter);
}

function matchesFilter(
  call: Call,
  { agentId, status, direction, phoneNumber, from, to }: CallFilter,
): boolean {
  return (
    (agentId === undefined || call.agentId === agentId) &&
    (status === undefined || status.some((one) => one === call.status)) &&
    (direction === undefined || call.direction === direction) &&
    (phoneNumber === undefined || call.phoneNumber === phoneNumber) &&
    (from === undefined || call.createdAt >= from) &&
    (to === undefined || call.createdAt <= to)
  );
}

/** Returns the first hold that selects a call of its organization; null when none does. */
export function findHold(call: Call, holds: readonly ActiveHold[]): ActiveHold | null {
  const isHeld = ({ organizationId, selector }: ActiveHold) =>
    organizationId === call.organizationId && isSelected(call, selector);
  return holds.find(isHeld) ?? null;
}

/**
 * Returns a decision in which each live call that a hold selects is cancelled, in the same transaction. Also cancels a call
 * that a running cancellation selected before the change: the call may match no more when its turn comes.
 */
export function cancelHeldCalls<Result extends AppliedChange | object | null>(
  decision: CallDecision<Result>,
  {
    holds,
    runningCancellations,
    call,
    deletion,
    now,
  }: {
    holds: readonly ActiveHold[];
    runningCancellations: readonly RunningCancellation[];
    /** The call that was loaded, with its deletion on record. */
    call: Call | null;
    deletion: RoomDeletion | null;
    now: Timestamp;
  },
): CallDecision<Result> {
  if (holds.length === 0 && runningCancellations.length === 0) return decision;
  const waitsFor = call !== null && isLive(call.status) ? findHold(call, runningCancellations) : null;
  let isChanged = false;
  const changes = decision.changes.map((change): CallChange => {
    if (!isLive(change.call.status)) return change;
    const hold = findHold(change.call, holds) ?? (change.call.id === call?.id ? waitsFor : null);
    if (hold === null) return change;
    isChanged = true;
    const { id: cancellationId, createdBy: apiKeyId, reason } = hold;
    const existing = change.call.id === call?.id ? deletion : null;
    const cause = { apiKeyId, reason, cancellationId };
    const cancelled = cancelledCall(change.call, cause, { existing, now, leaseMs: null });
    return {
      ...change,
      call: cancelled.call,
      deletions: [...change.deletions, ...cancelled.deletions],
      events: [...change.events, ...cancelled.events],
    };
  });
  if (!isChanged) return decision;
  const { result } = decision;
  return { ...decision, changes, result: isApplied(result) ? { ...result, dueAt: now } : result };
}

function isApplied(result: object | null): result is AppliedChange {
  return result !== null && 'kind' in result && result.kind === 'applied';
}
