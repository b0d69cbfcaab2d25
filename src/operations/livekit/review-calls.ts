import { byOwnClock } from '../../domain/leased-task.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Review } from '../../ports/store.ts';
import { deleteRoom, LEASE_MARGIN_MS } from '../deletions/delete-room.ts';
import type { Dependencies } from '../dependencies.ts';
import { observeNode, observeParticipants, observeSuspects } from './observe-call.ts';

const REVIEW_BATCH_SIZE = 100;
/** Delay of the next review of a call whose participants LiveKit did not list: other calls are reviewed first. */
const DEFERRAL_MS = 5_000;
const MIN_REVIEW_HORIZON_MS = 60_000;

/** State that one run of the review loop passes to the next. */
export interface ReviewState {
  /** Ids of the calls whose review is in flight. */
  readonly inFlight: Set<string>;
  /** By call id: the end of the delay after a failed review. */
  readonly deferredUntil: Map<string, Timestamp>;
}

/**
 * Starts a review of each due live call: LiveKit's list of the participants decides whether the call goes on. A call is
 * due when its grace period has expired, or when a webhook or a list suggests its end. Does not wait for the reviews, so
 * that a slow review does not delay the others.
 * @param isTrusted false right after an outage of LiveKit, while its clients reconnect
 * @returns the reviews, which never reject; whether more calls are due; when the next call is due
 */
export async function reviewCalls(
  dependencies: Dependencies,
  { isTrusted, inFlight, deferredUntil }: { isTrusted: boolean } & ReviewState,
): Promise<{ reviews: Promise<void>[]; hasMore: boolean; nextAt: Timestamp | null }> {
  const { store, clock, log, callSettings } = dependencies;
  const now = clock.now();
  for (const [callId, until] of deferredUntil) {
    if (until <= now || until > now + DEFERRAL_MS) deferredUntil.delete(callId);
  }
  const { agentLeftGraceMs, reconnectGraceMs } = callSettings.policy;
  const limit = REVIEW_BATCH_SIZE + inFlight.size + deferredUntil.size;
  const { due, nextAt } = await store.listReviews({
    maxDelayMs: Math.max(10 * agentLeftGraceMs, reconnectGraceMs, MIN_REVIEW_HORIZON_MS),
    limit,
  });
  const start = async (call: Review) => {
    const { callId } = call;
    inFlight.add(callId);
    try {
      const isReviewed = await review(dependencies, call, isTrusted);
      if (!isReviewed) deferredUntil.set(callId, clock.now() + DEFERRAL_MS);
    } catch (error) {
      deferredUntil.set(callId, clock.now() + DEFERRAL_MS);
      log.error({ callId, err: error }, 'call review failed; retried within 5 s');
    } finally {
      inFlight.delete(callId);
    }
  };
  const reviews = due.filter(({ callId }) => !inFlight.has(callId) && !deferredUntil.has(callId)).map(start);
  return { reviews, hasMore: due.length === limit, nextAt };
}

/** Reviews one call. @returns false if LiveKit did not list the participants */
async function review(
  dependencies: Dependencies,
  { isUnresponsive, suspects, movedAt, ...call }: Review,
  isTrusted: boolean,
): Promise<boolean> {
  const { clock, callSettings, cancelTimeoutMs: timeoutMs } = dependencies;
  const priority = 'review';
  if (isUnresponsive) {
    const observed = await observeNode(dependencies, call, { priority, isTrusted });
    if (observed?.decision.kind === 'end') return true;
  }
  const isProbeDue = movedAt !== null && clock.now() >= movedAt + callSettings.policy.reconnectGraceMs;
  if (isProbeDue) await observeSuspects(dependencies, { ...call, suspects }, { priority });
  const leaseMs = 2 * timeoutMs + LEASE_MARGIN_MS;
  const options = { timeoutMs, priority } as const;
  const sentAt = clock.now();
  const observed = await observeParticipants(dependencies, call, { ...options, isTrusted, leaseMs });
  if (observed === null) return false;
  if (observed.deletion === null) return true;
  // LiveKit has just listed the participants, so the deletion needs no second check.
  await deleteRoom(dependencies, byOwnClock(observed.deletion, sentAt), options, { isConfirmed: true });
  return true;
}
