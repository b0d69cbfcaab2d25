import { setImmediate } from 'node:timers/promises';
import type { Timestamp } from '../../domain/time.ts';
import type { Retention } from '../../ports/store.ts';
import { IDEMPOTENCY_TTL_MS } from '../calls/cancel.ts';
import type { Dependencies } from '../dependencies.ts';

/** So few that the store is held for milliseconds: each call is in ten indexes. */
const BATCH = 20;

/** @param recreatedRoomWindowMs for so long an ended call's room is watched, so the call is needed */
export function retentionOf(
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

/** Forgets one batch of each thing that is over for long enough. @returns whether there may be more */
export async function pruneBatch({
  store,
  clock,
  retention,
  events,
}: Pick<Dependencies, 'store' | 'clock' | 'retention' | 'events'>): Promise<{
  more: boolean;
  forgotten: number;
}> {
  const now = clock.now();
  const { callsBefore, auditBefore, eventsBefore } = retentionOf(
    retention,
    events.policy.recreatedRoomWindowMs,
    now,
  );
  const counts: number[] = [];
  const prune = async (
    one: (input: { before: Timestamp; now: Timestamp; limit: number }) => Promise<number>,
    before: Timestamp | null,
  ) => {
    if (before !== null) counts.push(await one({ before, now, limit: BATCH }));
    // Requests come between.
    await setImmediate();
  };
  await prune(store.pruneIdempotencyKeys, now - IDEMPOTENCY_TTL_MS);
  await prune(store.pruneEvents, eventsBefore);
  await prune(store.pruneCalls, callsBefore);
  await prune(store.pruneAudit, auditBefore);
  // A batch that is not full is not the last one: what is too young may stand among what is old.
  return { more: counts.some((count) => count > 0), forgotten: counts.reduce((a, b) => a + b, 0) };
}
