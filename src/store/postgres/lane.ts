import { StoreBusyError } from '../../domain/errors.ts';

/** Runs items in batches: while one batch runs, the items that arrive wait for the next one. */
export interface Lane<Item, Result> {
  /** @throws StoreBusyError when too many items wait */
  push(item: Item): Promise<Result>;
  /** Resolves when no item waits or runs. */
  drained(): Promise<void>;
}

export type LaneOutcome<Result> = { readonly result: Result } | { readonly error: unknown };

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly expiresAtMs: number;
  readonly reply: PromiseWithResolvers<Result>;
}

/**
 * Returns a lane. An idle lane starts an item in the same turn of the event loop, with the other items of that turn.
 * @param run returns an outcome for each item, in the same order; a rejection is the outcome of all items
 */
export function createLane<Item, Result>({
  nowMs,
  maxBatch,
  maxRunning = 1,
  maxWaiting,
  timeoutMs,
  run,
}: {
  nowMs: () => number;
  maxBatch: number;
  /** The largest number of batches that run at once. */
  maxRunning?: number;
  maxWaiting: number;
  /** An item that waits longer is not started. */
  timeoutMs: number;
  run: (items: readonly Item[]) => Promise<readonly LaneOutcome<Result>[]>;
}): Lane<Item, Result> {
  let waiting: Waiting<Item, Result>[] = [];
  let isStartScheduled = false;
  const running = new Set<Promise<void>>();

  /** Starts batches in the next turn of the event loop: the items of this turn share a batch. */
  function scheduleStart(): void {
    if (isStartScheduled || running.size === maxRunning || waiting.length === 0) return;
    isStartScheduled = true;
    setImmediate(() => {
      isStartScheduled = false;
      startNext();
    });
  }

  function startNext(): void {
    while (waiting.length > 0 && running.size < maxRunning) {
      const batch = takeBatch();
      if (batch.length === 0) continue;
      const ended = runBatch(batch).finally(() => {
        running.delete(ended);
        startNext();
      });
      running.add(ended);
    }
  }

  function takeBatch(): Waiting<Item, Result>[] {
    const batch = waiting.slice(0, maxBatch);
    waiting = waiting.slice(maxBatch);
    const now = nowMs();
    for (const { expiresAtMs, reply } of batch) if (expiresAtMs <= now) reply.reject(new StoreBusyError());
    return batch.filter(({ expiresAtMs }) => expiresAtMs > now);
  }

  async function runBatch(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const outcomes = await run(batch.map(({ item }) => item));
      for (const [index, { reply }] of batch.entries()) {
        const outcome = outcomes[index] ?? { error: new Error('the batch has no outcome for an item') };
        if ('result' in outcome) reply.resolve(outcome.result);
        else reply.reject(outcome.error);
      }
    } catch (error) {
      for (const { reply } of batch) reply.reject(error);
    }
  }

  return {
    push(item) {
      if (waiting.length >= maxWaiting) {
        return Promise.reject(new StoreBusyError('too many requests wait for the database'));
      }
      const reply = Promise.withResolvers<Result>();
      waiting.push({ item, expiresAtMs: nowMs() + timeoutMs, reply });
      scheduleStart();
      return reply.promise;
    },
    async drained() {
      while (isStartScheduled || running.size > 0) {
        await Promise.all(running);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

/**
 * Runs items together. After an error that one of the items can cause, runs each alone, so that an item that fails takes no
 * other with it.
 * @throws StoreBusyError which concerns all items
 */
export async function runTogether<Item, Result>(
  items: readonly Item[],
  run: (items: readonly Item[]) => Promise<readonly LaneOutcome<Result>[]>,
): Promise<readonly LaneOutcome<Result>[]> {
  try {
    return await run(items);
  } catch (error) {
    if (error instanceof StoreBusyError) throw error;
    if (items.length === 1) return [{ error }];
  }
  const outcomes: LaneOutcome<Result>[] = [];
  for (const item of items) outcomes.push(...(await runTogether([item], run)));
  return outcomes;
}
