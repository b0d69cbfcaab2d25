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
  maxWaiting,
  timeoutMs,
  run,
}: {
  nowMs: () => number;
  maxBatch: number;
  maxWaiting: number;
  /** An item that waits longer is not started. */
  timeoutMs: number;
  run: (items: readonly Item[]) => Promise<readonly LaneOutcome<Result>[]>;
}): Lane<Item, Result> {
  let waiting: Waiting<Item, Result>[] = [];
  let running: Promise<void> | null = null;

  async function runAll(): Promise<void> {
    // The items of this turn of the event loop share the first batch.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const started = takeBatch();
      if (started.length === 0) continue;
      try {
        const outcomes = await run(started.map(({ item }) => item));
        started.forEach(({ reply }, index) => {
          const outcome = outcomes[index] ?? { error: new Error('the batch has no outcome for an item') };
          if ('result' in outcome) reply.resolve(outcome.result);
          else reply.reject(outcome.error);
        });
      } catch (error) {
        for (const { reply } of started) reply.reject(error);
      }
    }
    running = null;
  }

  function takeBatch(): Waiting<Item, Result>[] {
    const batch = waiting.slice(0, maxBatch);
    waiting = waiting.slice(maxBatch);
    const now = nowMs();
    for (const { expiresAtMs, reply } of batch) if (expiresAtMs <= now) reply.reject(new StoreBusyError());
    return batch.filter(({ expiresAtMs }) => expiresAtMs > now);
  }

  return {
    push(item) {
      if (waiting.length >= maxWaiting) {
        return Promise.reject(new StoreBusyError('too many writes wait for the database'));
      }
      const reply = Promise.withResolvers<Result>();
      waiting.push({ item, expiresAtMs: nowMs() + timeoutMs, reply });
      running ??= runAll();
      return reply.promise;
    },
    drained: () => running ?? Promise.resolve(),
  };
}
