import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { Dependencies } from '../dependencies.ts';
import { LEASE_MARGIN_MS } from './delete-room.ts';

/** Leases at most `limit` due deletions to the caller, for one background attempt each. */
export async function claimDueDeletions(
  {
    store,
    clock,
    retry,
    cancelTimeoutMs,
    backgroundTimeoutMs,
  }: Pick<Dependencies, 'store' | 'clock' | 'retry' | 'cancelTimeoutMs' | 'backgroundTimeoutMs'>,
  { limit }: { limit: number },
): Promise<readonly RoomDeletion[]> {
  const now = clock.now();
  const maxLeaseMs = Math.max(cancelTimeoutMs, backgroundTimeoutMs) + LEASE_MARGIN_MS;
  return store.claimDeletions({
    now,
    leaseUntil: now + backgroundTimeoutMs + LEASE_MARGIN_MS,
    farthest: now + Math.max(retry.maxDelayMs, maxLeaseMs),
    limit,
  });
}
