import { byOwnClock } from '../../domain/leased-task.ts';
import type { ClaimedDeletion } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { holdsLease } from './check-room.ts';
import { type DeletionContext, deleteRoom, LEASE_MARGIN_MS } from './delete-room.ts';

/** After a longer wait, a newer call may use the room name. */
const MAX_WAIT_MS = 10;
/** The time to settle a lease before its end. */
const SETTLE_BUDGET_MS = 1_000;

/**
 * Leases at most `limit` due deletions to the caller, for one background attempt each. Their times are by the clock of this
 * process.
 */
export async function claimDueDeletions(
  {
    store,
    clock,
    retry,
    cancelTimeoutMs,
    backgroundTimeoutMs,
  }: Pick<Dependencies, 'store' | 'clock' | 'retry' | 'cancelTimeoutMs' | 'backgroundTimeoutMs'>,
  { limit }: { limit: number },
): Promise<readonly ClaimedDeletion[]> {
  // A review leases a deletion for two requests.
  const maxLeaseMs = Math.max(2 * cancelTimeoutMs, backgroundTimeoutMs) + LEASE_MARGIN_MS;
  const sentAt = clock.now();
  const claimed = await store.claimDeletions({
    leaseMs: backgroundTimeoutMs + LEASE_MARGIN_MS,
    maxDelayMs: Math.max(retry.maxDelayMs, maxLeaseMs),
    limit,
  });
  return claimed.map((deletion) => byOwnClock(deletion, sentAt));
}

/**
 * Makes the attempt of a claimed deletion. A deletion that waited since the claim has the rest of its lease. If too little
 * is left, the deletion is claimed again when the lease ends.
 */
export async function attemptClaimedDeletion(
  dependencies: Dependencies,
  deletion: ClaimedDeletion,
  context: Required<Pick<DeletionContext, 'onRequestsEnded' | 'complete'>>,
): Promise<void> {
  const { store, clock, nudge, backgroundTimeoutMs } = dependencies;
  const leaseLeftMs = deletion.scheduledAt - clock.now() - SETTLE_BUDGET_MS;
  if (leaseLeftMs <= 0) {
    nudge(deletion.scheduledAt);
    return;
  }
  const hasWaited = clock.now() - (deletion.attemptedAt ?? 0) > MAX_WAIT_MS;
  if (hasWaited && !(await holdsLease(store, deletion))) return;
  const options = { timeoutMs: Math.min(backgroundTimeoutMs, leaseLeftMs), priority: 'deletion' } as const;
  await deleteRoom(dependencies, deletion, options, { facts: deletion, ...context });
}
