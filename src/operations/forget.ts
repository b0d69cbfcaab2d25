import { ANSWER_REMEMBERED_MS } from './cancel-call.ts';
import type { Dependencies } from './dependencies.ts';

const BATCH = 500;
/** LiveKit repeats an event for half a minute; somebody may replay one while its signature holds, 5 minutes. */
const EVENT_REMEMBERED_MS = 48 * 3_600_000;

/** Forgets one batch of what nobody can ask for again: answers to old requests, ids of old events. */
export async function forget({
  store,
  clock,
}: Pick<Dependencies, 'store' | 'clock'>): Promise<{ more: boolean }> {
  const now = clock.now();
  const answers = await store.pruneIdempotencyKeys({ before: now - ANSWER_REMEMBERED_MS, limit: BATCH });
  const events = await store.pruneEvents({ before: now - EVENT_REMEMBERED_MS, limit: BATCH });
  return { more: answers >= BATCH || events >= BATCH };
}
