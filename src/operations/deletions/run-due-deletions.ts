import type { Timestamp } from '../../domain/time.ts';
import type { Dependencies } from '../dependencies.ts';
import { deleteRoom, LEASE_MARGIN_MS } from './delete-room.ts';

/**
 * One pass: leases at most `limit` deletions that are due and begins an attempt at each. Resolves once they are
 * begun, so that a room that hangs does not hold up the others.
 * @returns the attempts, which never reject, and when the next open deletion may be claimed
 */
export async function startDueDeletions(
  dependencies: Dependencies,
  { limit }: { limit: number },
): Promise<{ attempts: Promise<void>[]; nextAt: Timestamp | null }> {
  const { store, retry, cancelTimeoutMs, backgroundTimeoutMs } = dependencies;
  const longestLeaseMs = Math.max(cancelTimeoutMs, backgroundTimeoutMs) + LEASE_MARGIN_MS;
  const claimed = await store.claimDeletions({
    leaseMs: backgroundTimeoutMs + LEASE_MARGIN_MS,
    maxDelayMs: Math.max(retry.maxDelayMs, longestLeaseMs),
    limit,
  });
  const asking = { timeoutMs: backgroundTimeoutMs, priority: 'retry' } as const;
  const attempts = claimed.map((deletion) => deleteRoom(dependencies, deletion, asking));
  return { attempts, nextAt: await store.nextDeletionAt() };
}
