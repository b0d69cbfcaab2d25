import { setImmediate } from 'node:timers/promises';
import type { Timestamp } from '../../domain/time.ts';
import type { Retention } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { IDEMPOTENCY_TTL_MS } from '../idempotency.ts';

/** Small enough to block the database for milliseconds only: each call is in ten indexes. */
const BATCH_SIZE = 20;

/**
 * Returns the times before which records are pruned.
 * @param recreatedRoomWindowMs an ended call is needed for at least this long, because its room may be recreated
 */
export function retentionCutoffs(
  { endedCallsMs, auditMs, eventIdsMs }: Dependencies['retention'],
  recreatedRoomWindowMs: number,
  now: Timestamp,
): Retention {
  return {
    callsBefore: endedCallsMs === null ? null : now - Math.max(endedCallsMs, recreatedRoomWindowMs),
    auditBefore: auditMs === null ? null : now - auditMs,
    eventsBefore: now - eventIdsMs,
  };
}

/** Prunes one batch of each kind of record. @returns the number of deleted records, and whether there may be more */
export async function pruneBatch({
  store,
  clock,
  retention,
  callSettings,
}: Pick<Dependencies, 'store' | 'clock' | 'retention' | 'callSettings'>): Promise<{
  hasMore: boolean;
  deleted: number;
}> {
  const now = clock.now();
  const { callsBefore, auditBefore, eventsBefore } = retentionCutoffs(
    retention,
    callSettings.policy.recreatedRoomWindowMs,
    now,
  );
  const counts: number[] = [];
  const prune = async (
    pruneKind: (input: { before: Timestamp; now: Timestamp; limit: number }) => Promise<number>,
    before: Timestamp | null,
  ) => {
    if (before !== null) counts.push(await pruneKind({ before, now, limit: BATCH_SIZE }));
    // Lets requests run between two batches.
    await setImmediate();
  };
  await prune(store.pruneIdempotencyKeys, now - IDEMPOTENCY_TTL_MS);
  await prune(store.pruneEvents, eventsBefore);
  await prune(store.pruneCalls, callsBefore);
  await prune(store.pruneAudit, auditBefore);
  // An incomplete batch need not be the last: records that must stay may lie between the prunable ones.
  return { hasMore: counts.some((count) => count > 0), deleted: counts.reduce((a, b) => a + b, 0) };
}
