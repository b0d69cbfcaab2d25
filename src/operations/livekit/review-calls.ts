import type { Timestamp } from '../../domain/time.ts';
import type { Review } from '../../ports/store.ts';
import { deleteRoom, LEASE_MARGIN_MS } from '../deletions/delete-room.ts';
import type { Dependencies } from '../dependencies.ts';
import { observeNode, observeParticipants, observeSuspects } from './observe-call.ts';

const REVIEWED_AT_ONCE = 100;
/** A call whose review LiveKit did not answer is reviewed again after this: it must not hold up the others. */
const DEFERRED_FOR_MS = 5_000;
const SHORTEST_LIMIT_MS = 60_000;

/** What one pass over the reviews leaves for the next. */
export interface ReviewState {
  /** Calls whose review is under way: begun reviews are added, and removed when they end. */
  readonly underWay: Set<string>;
  /** Until when calls are left out, because LiveKit did not answer. */
  readonly deferred: Map<string, Timestamp>;
}

/**
 * Assesses anew each live call whose review is due, by LiveKit's own list of the participants: a call that is over by
 * what webhooks reported, a grace that has run out, a participant who was missing. Without an answer of LiveKit the call
 * waits for the next pass. Resolves once the reviews are begun, so that a slow one does not hold up the others.
 * @param isTrusted false right after LiveKit was away, while its clients return
 * @returns the reviews, which never reject, whether more of them are due, and when the next one is
 */
export async function reviewCalls(
  dependencies: Dependencies,
  { isTrusted, underWay, deferred }: { isTrusted: boolean } & ReviewState,
): Promise<{ reviews: Promise<void>[]; hasMore: boolean; nextAt: Timestamp | null }> {
  const { store, clock, log, events } = dependencies;
  const now = clock.now();
  for (const [callId, until] of deferred) {
    if (until <= now || until > now + DEFERRED_FOR_MS) deferred.delete(callId);
  }
  const { agentLeftGraceMs, reconnectGraceMs } = events.policy;
  const limit = REVIEWED_AT_ONCE + underWay.size + deferred.size;
  const { due, nextAt } = await store.listReviews({
    maxDelayMs: Math.max(10 * agentLeftGraceMs, reconnectGraceMs, SHORTEST_LIMIT_MS),
    limit,
  });
  const begin = async (call: (typeof due)[number]) => {
    underWay.add(call.callId);
    try {
      const isAnswered = await review(dependencies, call, isTrusted);
      if (!isAnswered) deferred.set(call.callId, clock.now() + DEFERRED_FOR_MS);
    } catch (error) {
      deferred.set(call.callId, clock.now() + DEFERRED_FOR_MS);
      log.error({ callId: call.callId, err: error }, 'call not reviewed; it is reviewed again within 5 s');
    } finally {
      underWay.delete(call.callId);
    }
  };
  const reviews = due.filter(({ callId }) => !underWay.has(callId) && !deferred.has(callId)).map(begin);
  return { reviews, hasMore: due.length === limit, nextAt };
}

/** @returns false when LiveKit did not list the participants */
async function review(
  dependencies: Dependencies,
  { isUnresponsive, suspects, movedAt, ...call }: Review,
  isTrusted: boolean,
): Promise<boolean> {
  const { clock, events, cancelTimeoutMs: timeoutMs } = dependencies;
  const priority = 'review';
  if (isUnresponsive) {
    const observed = await observeNode(dependencies, call, { priority, isTrusted });
    if (observed?.decision.kind === 'end') return true;
  }
  const isProbeDue = movedAt !== null && clock.now() >= movedAt + events.policy.reconnectGraceMs;
  if (isProbeDue) await observeSuspects(dependencies, { ...call, suspects }, { priority });
  const leaseMs = 2 * timeoutMs + LEASE_MARGIN_MS;
  const asking = { timeoutMs, priority } as const;
  const observed = await observeParticipants(dependencies, call, { ...asking, isTrusted, leaseMs });
  if (observed === null) return false;
  if (observed.deletion === null) return true;
  // LiveKit's list is of this moment: the room is deleted without asking again.
  await deleteRoom(dependencies, observed.deletion, asking, { isConfirmed: true });
  return true;
}
