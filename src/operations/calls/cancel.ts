import { callNotFound, idempotencyKeyReused, notCancellable } from '../../domain/errors.ts';
import { byOwnClock } from '../../domain/leased-task.ts';
import { deleteRoom, LEASE_MARGIN_MS } from '../deletions/delete-room.ts';
import type { Dependencies } from '../dependencies.ts';
import { idempotencyOf, type RepeatableRequest } from '../idempotency.ts';
import { isCallId } from './authorize.ts';

/** Time for the cancel's write and LiveKit. Clients time out after 5 s; the rest is for the settlement. */
const RESPONSE_BUDGET_MS = 4_000;
/** The least time for LiveKit, also after a slow database write. */
const MIN_TIMEOUT_MS = 500;

/**
 * Cancels a call and deletes its room. Resolves once the cancel is on record and one attempt to delete the room has
 * ended. The reconciler repeats a failed attempt.
 * @throws RequestError not_cancellable, idempotency_key_reused, not_found; StoreBusyError
 */
export async function cancelCall(
  dependencies: Dependencies,
  request: RepeatableRequest & { callId: string; reason: string | null },
): Promise<void> {
  const { callId, apiKey, reason, markReplayed } = request;
  const { store, clock, cancelTimeoutMs: timeoutMs } = dependencies;
  if (!isCallId(callId)) throw callNotFound();
  const startedAt = clock.now();
  const { result, isReplay } = await store.changeCall({
    kind: 'cancel',
    callId,
    organizationId: apiKey.organizationId,
    apiKeyId: apiKey.id,
    reason,
    leaseMs: timeoutMs + LEASE_MARGIN_MS,
    // The fingerprint of version 0.2.0: its responses are repeated after an upgrade.
    idempotency: idempotencyOf(request, JSON.stringify(['cancel', callId, reason])),
  });
  if (isReplay) markReplayed();
  switch (result.kind) {
    case 'cancelled': {
      if (result.deletion === null) return;
      const remainingMs = Math.max(MIN_TIMEOUT_MS, RESPONSE_BUDGET_MS - (clock.now() - startedAt));
      const options = { timeoutMs: Math.min(timeoutMs, remainingMs), priority: 'cancel' } as const;
      // A prompt first attempt needs no check. Other attempts read the call if the room may be adopted.
      const facts = { callStatus: 'cancelled', isAdoptable: true } as const;
      await deleteRoom(dependencies, byOwnClock(result.deletion, startedAt), options, { facts });
      return;
    }
    case 'not_live':
      throw notCancellable(result.status);
    case 'idempotency_key_reused':
      throw idempotencyKeyReused();
    case 'not_found':
      throw callNotFound();
  }
}
