/** A count after some requests of one key. */
export interface Counted {
  /** Includes the requests of this count. */
  readonly consumedPoints: number;
  readonly msBeforeNext: number;
  readonly isFirstInDuration: boolean;
}

interface Batch {
  requests: number;
  readonly counted: PromiseWithResolvers<Counted>;
}

/**
 * Returns a function that counts one request of a key. Requests of a key that arrive while a statement of the key runs
 * share the next statement: many requests of one key would otherwise wait for the lock of its row one after the other.
 * @param run counts several requests of a key with one statement
 */
export function combineCounts(
  run: (key: string, requests: number) => Promise<Counted>,
  maxStatements: number,
): (key: string) => Promise<Counted> {
  /** In the order of their first requests. */
  const waiting = new Map<string, Batch>();
  const running = new Set<string>();

  function startNext(): void {
    for (const [key, batch] of waiting) {
      if (running.size >= maxStatements) return;
      if (running.has(key)) continue;
      waiting.delete(key);
      running.add(key);
      run(key, batch.requests)
        .then(batch.counted.resolve, batch.counted.reject)
        .finally(() => {
          running.delete(key);
          startNext();
        });
    }
  }

  return async (key) => {
    const batch = waiting.get(key) ?? { requests: 0, counted: Promise.withResolvers<Counted>() };
    waiting.set(key, batch);
    batch.requests += 1;
    const position = batch.requests;
    startNext();
    const { consumedPoints, msBeforeNext, isFirstInDuration } = await batch.counted.promise;
    return {
      consumedPoints: consumedPoints - batch.requests + position,
      msBeforeNext,
      isFirstInDuration: isFirstInDuration && position === 1,
    };
  };
}
