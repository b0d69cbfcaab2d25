import type { ClaimedDeletion } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { LEASE_MARGIN_MS } from './delete-room.ts';

/** Leases at most `limit` due deletions to the caller, for one background attempt each. */
export async function claimDueDeletions(
  {
    store,
    retry,
    cancelTimeoutMs,
    backgroundTimeoutMs,
  }: Pick<Dependencies, 'store' | 'retry' | 'cancelTimeoutMs' | 'backgroundTimeoutMs'>,
  { limit }: { limit: number },
): Promise<readonly ClaimedDeletion[]> {
  const maxLeaseMs = Math.max(cancelTimeoutMs, backgroundTimeoutMs) + LEASE_MARGIN_MS;
  return store.claimDeletions({
    leaseMs: backgroundTimeoutMs + LEASE_MARGIN_MS,
    maxDelayMs: Math.max(retry.maxDelayMs, maxLeaseMs),
    limit,
  });
}
