import type { Dependencies } from '../dependencies.ts';

/** Calls of one write. Other writes run in between. */
const CHUNK_SIZE = 200;
/** Less than the longest time that a chunk may hold the store, 20 ms, because the commit follows. */
const CHUNK_BUDGET_MS = 8;

/**
 * Records the matching calls of all running cancellations, and completes the cancellations whose rooms are gone. The rooms
 * of recorded calls are deleted meanwhile.
 * @param signal its abort ends the work after the current write
 * @returns whether a cancellation is still running
 */
export async function advanceCancellations(
  dependencies: Pick<Dependencies, 'store' | 'clock' | 'log' | 'nudge'>,
  signal: AbortSignal,
): Promise<boolean> {
  let isRunning = false;
  for (const id of await dependencies.store.listRunningCancellations()) {
    if (signal.aborted) return true;
    try {
      if (!(await advance(dependencies, id, signal))) isRunning = true;
    } catch (error) {
      // The next run continues after the last write. Other cancellations must not wait for this one.
      dependencies.log.error(
        { err: error, cancellationId: id },
        'cancellation interrupted; retried in a second',
      );
    }
  }
  return isRunning;
}

/** Returns whether the cancellation is completed. */
async function advance(
  { store, clock, log, nudge }: Pick<Dependencies, 'store' | 'clock' | 'log' | 'nudge'>,
  id: string,
  signal: AbortSignal,
): Promise<boolean> {
  let cancelled = 0;
  while (!signal.aborted) {
    const advanced = await store.advanceCancellation({ id, limit: CHUNK_SIZE, budgetMs: CHUNK_BUDGET_MS });
    cancelled += advanced.cancelled;
    if (advanced.cancelled > 0) nudge(clock.now());
    if (!advanced.isRecorded) continue;
    if (cancelled > 0) log.info({ cancellationId: id, cancelled }, 'calls of a cancellation cancelled');
    if (advanced.isCompleted) log.info({ cancellationId: id }, 'cancellation completed');
    return advanced.isCompleted;
  }
  return false;
}
