import { ANSWER_REMEMBERED_MS } from './cancel-call.ts';
import type { Dependencies } from './dependencies.ts';

const BATCH = 500;

/** Forgets one batch of answers whose Idempotency-Key is too old to be asked for again. */
export async function forgetAnswers({
  store,
  clock,
}: Pick<Dependencies, 'store' | 'clock'>): Promise<{ more: boolean }> {
  const forgotten = await store.pruneIdempotencyKeys({
    before: clock.now() - ANSWER_REMEMBERED_MS,
    limit: BATCH,
  });
  return { more: forgotten >= BATCH };
}
