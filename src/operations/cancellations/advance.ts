import type { AdvancedCancellation, CancellationStore } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

/** Calls of one write. Other writes run in between. */
const CHUNK_SIZE = 200;
/** Less than the longest time that a chunk may hold the store, 20 ms, because the commit follows. */
const CHUNK_BUDGET_MS = 8;

interface AdvanceDependencies extends Pick<Dependencies, 'log'> {
  readonly store: Pick<CancellationStore, 'listRunningCancellations' | 'advanceCancellation'>;
  /** Called after each write that cancelled calls: their rooms can be deleted while the next calls are recorded. */
  readonly onRecorded: () => void;
}

/**
 * Records the matching calls of all running cancellations, and completes the cancellations whose rooms are gone.
 * @param signal its abort ends the work after the current write
 * @returns whether a cancellation is still running
 */
export async function advanceCancellations(
  dependencies: AdvanceDependencies,
  signal: AbortSignal,
): Promise<boolean> {
  const ids = await dependencies.store.listRunningCancellations();
  let isRunning = false;
  // One write for each in turn: a large cancellation must not delay a small one.
  for (let recording = ids; recording.length > 0; ) {
    const unfinished: string[] = [];
    for (const id of recording) {
      if (signal.aborted) return true;
      const advanced = await advance(dependencies, id);
      if (!advanced.isRecorded) unfinished.push(id);
      else if (!advanced.isCompleted) isRunning = true;
    }
    recording = unfinished;
  }
  return isRunning;
}

async function advance(
  { store, log, onRecorded }: AdvanceDependencies,
  id: string,
): Promise<AdvancedCancellation> {
  try {
    const advanced = await store.advanceCancellation({ id, limit: CHUNK_SIZE, budgetMs: CHUNK_BUDGET_MS });
    const { cancelled, isRecorded, isCompleted } = advanced;
    if (cancelled > 0) onRecorded();
    if (cancelled > 0 && isRecorded)
      log.info({ cancellationId: id }, 'calls of a cancellation are cancelled');
    if (isCompleted) log.info({ cancellationId: id }, 'cancellation completed');
    return advanced;
  } catch (error) {
    // The next run continues after the last write. Other cancellations must not wait for this one.
    log.error({ err: error, cancellationId: id }, 'cancellation interrupted; retried in a second');
    return { cancelled: 0, isRecorded: true, isCompleted: false };
  }
}
