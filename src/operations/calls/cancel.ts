import type { ApiKey } from '../../domain/api-key.ts';
import { callNotFound, idempotencyKeyReused, notCancellable } from '../../domain/errors.ts';
import { deleteRoom, LEASE_MARGIN_MS } from '../deletions/delete-room.ts';
import type { Dependencies } from '../dependencies.ts';

/** A request that is repeated within this time gets the first response. */
export const IDEMPOTENCY_TTL_MS = 24 * 3_600_000;

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
  {
    callId,
    apiKey,
    reason,
    idempotencyKey,
  }: { callId: string; apiKey: ApiKey; reason: string | null; idempotencyKey: string | null },
): Promise<void> {
  const { store, clock, cancelTimeoutMs: timeoutMs } = dependencies;
  const startedAt = clock.now();
  const { result } = await store.changeCall({
    kind: 'cancel',
    callId,
    organizationId: apiKey.organizationId,
    apiKeyId: apiKey.id,
    reason,
    leaseMs: timeoutMs + LEASE_MARGIN_MS,
    idempotency:
      idempotencyKey === null
        ? null
        : {
            key: idempotencyKey,
            fingerprint: JSON.stringify(['cancel', callId, reason]),
            ttlMs: IDEMPOTENCY_TTL_MS,
          },
  });
  switch (result.kind) {
    case 'cancelled': {
      if (result.deletion === null) return;
      const remainingMs = Math.max(MIN_TIMEOUT_MS, RESPONSE_BUDGET_MS - (clock.now() - startedAt));
      const options = { timeoutMs: Math.min(timeoutMs, remainingMs), priority: 'cancel' } as const;
      // A first attempt needs no check. A later attempt reads the call if the room may be adopted.
      const facts = { callStatus: 'cancelled', isAdoptable: true } as const;
      await deleteRoom(dependencies, result.deletion, options, { facts });
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
