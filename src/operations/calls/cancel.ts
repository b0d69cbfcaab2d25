import type { ApiKey } from '../../domain/api-key.ts';
import { callNotFound, idempotencyKeyReused, notCancellable } from '../../domain/errors.ts';
import { deleteRoom, LEASE_MARGIN_MS } from '../deletions/delete-room.ts';
import type { Dependencies } from '../dependencies.ts';

/** How long a retried request gets the first answer again. */
export const ANSWER_REMEMBERED_MS = 24 * 3_600_000;

/** Clients give up after 5 s: the waits for the database and for LiveKit share this much, and the settling has the rest. */
const ANSWERED_WITHIN_MS = 4_000;
/** LiveKit's share however long the database took. */
const LEAST_TIMEOUT_MS = 500;

/**
 * Cancels a call and deletes its room. Resolves once the cancel is on record and one attempt at the room has
 * ended, well or not: what failed is the reconciler's from there.
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
  const now = clock.now();
  const result = await store.cancelCall({
    callId,
    organizationId: apiKey.organizationId,
    apiKeyId: apiKey.id,
    reason,
    now,
    leaseUntil: now + timeoutMs + LEASE_MARGIN_MS,
    idempotency:
      idempotencyKey === null
        ? null
        : {
            key: idempotencyKey,
            fingerprint: JSON.stringify(['cancel', callId, reason]),
            rememberedSince: now - ANSWER_REMEMBERED_MS,
          },
  });
  switch (result.kind) {
    case 'cancelled': {
      const leftMs = Math.max(LEAST_TIMEOUT_MS, ANSWERED_WITHIN_MS - (clock.now() - now));
      const asking = { timeoutMs: Math.min(timeoutMs, leftMs), priority: 'cancel' } as const;
      await deleteRoom(dependencies, result.deletion, asking);
      return;
    }
    case 'replayed':
      return;
    case 'not_live':
      throw notCancellable(result.status);
    case 'idempotency_key_reused':
      throw idempotencyKeyReused();
    case 'not_found':
      throw callNotFound();
  }
}
