import type { Review } from '../domain/ports.ts';
import type { Timestamp } from '../domain/time.ts';
import { deleteRoom, LEASE_MARGIN_MS } from './delete-room.ts';
import type { Dependencies } from './dependencies.ts';
import { observeNode, observeParticipants, observeSuspects } from './observe-call.ts';

const REVIEWED_AT_ONCE = 100;
/** Longer than any review is set ahead by settings as they are used: a day. */
const FARTHEST_MS = 86_400_000;

/**
 * Assesses anew each live call whose review is due, by LiveKit's own list of the participants: a call that is over by
 * what webhooks reported, a grace that has run out, a participant who was missing. Without an answer of LiveKit the call
 * waits for the next pass. Resolves once the reviews are begun, so that a slow one does not hold up the others.
 * @param isTrusted false right after LiveKit was away, while its clients return
 * @param underWay ids of calls whose review is under way: begun reviews are added, and removed when they end
 * @returns the reviews, which never reject, and when the next one is due
 */
export async function reviewCalls(
  dependencies: Dependencies,
  { isTrusted, underWay }: { isTrusted: boolean; underWay: Set<string> },
): Promise<{ reviews: Promise<void>[]; nextAt: Timestamp | null }> {
  const { store, clock, log } = dependencies;
  const now = clock.now();
  const { due, nextAt } = await store.listReviews({
    now,
    farthest: now + FARTHEST_MS,
    limit: REVIEWED_AT_ONCE + underWay.size,
  });
  const begin = async (call: (typeof due)[number]) => {
    underWay.add(call.callId);
    try {
      await review(dependencies, call, isTrusted);
    } catch (error) {
      log.error({ callId: call.callId, err: error }, 'call not reviewed; it is reviewed again within 5 s');
    } finally {
      underWay.delete(call.callId);
    }
  };
  const reviews = due.filter(({ callId }) => !underWay.has(callId)).map(begin);
  return { reviews, nextAt };
}

async function review(
  dependencies: Dependencies,
  { isUnresponsive, suspects, movedAt, ...call }: Review,
  isTrusted: boolean,
): Promise<void> {
  const { clock, events, requestTimeoutMs: timeoutMs } = dependencies;
  const priority = 'review';
  if (isUnresponsive) {
    const observed = await observeNode(dependencies, call, { priority });
    if (observed?.decision.kind === 'end') return;
  }
  const isProbeDue = movedAt !== null && clock.now() >= movedAt + events.policy.connectionLostGraceMs;
  if (isProbeDue) await observeSuspects(dependencies, { ...call, suspects }, { priority });
  const leaseUntil = clock.now() + 2 * timeoutMs + LEASE_MARGIN_MS;
  const asking = { timeoutMs, priority } as const;
  const observed = await observeParticipants(dependencies, call, { ...asking, isTrusted, leaseUntil });
  if (observed === null || observed.deletion === null) return;
  // LiveKit's list is of this moment: the room is deleted without asking again.
  await deleteRoom(dependencies, observed.deletion, asking, { isConfirmed: true });
}
