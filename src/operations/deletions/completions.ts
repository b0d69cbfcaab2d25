import type { DeletionLease, Store } from '../../ports/store.ts';

/** More completions in a write save little more of its cost. */
const MAX_COMPLETIONS = 64;
/** A completion waits no longer for others. Its lease lasts seconds longer. */
const MAX_WAIT_MS = 10;

/** Completes a deletion whose room was deleted. Returns false when another attempt holds the lease. */
export type CompleteDeletion = (lease: DeletionLease) => Promise<boolean>;

interface Completion extends PromiseWithResolvers<boolean> {
  readonly lease: DeletionLease;
}

/**
 * Returns a function that completes deletions together: while other attempts are in flight, a completion waits for
 * theirs, and one write serves all of them.
 * @param isBusy whether an attempt is in flight
 */
export function shareCompletions({
  store,
  isBusy,
  after,
}: {
  store: Pick<Store, 'completeDeletions'>;
  isBusy: () => boolean;
  after: (delayMs: number, run: () => void) => () => void;
}): CompleteDeletion {
  let waiting: Completion[] = [];
  let cancelTimer = () => {};

  async function completeAll(): Promise<void> {
    cancelTimer();
    const completions = waiting;
    waiting = [];
    try {
      const areCompleted = await store.completeDeletions(completions.map(({ lease }) => lease));
      for (const [index, { resolve }] of completions.entries()) resolve(areCompleted[index] === true);
    } catch (error) {
      for (const { reject } of completions) reject(error);
    }
  }

  return ({ callId, attempt }) => {
    const completion = { lease: { callId, attempt }, ...Promise.withResolvers<boolean>() };
    waiting.push(completion);
    if (waiting.length === MAX_COMPLETIONS || !isBusy()) void completeAll();
    else if (waiting.length === 1) cancelTimer = after(MAX_WAIT_MS, () => void completeAll());
    return completion.promise;
  };
}
