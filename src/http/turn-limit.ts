/**
 * Returns a function that returns or resolves at most `limit` times in one turn of the event loop, in the order of its
 * calls. Requests of other kinds run between the turns.
 */
export function limitPerTurn(limit: number): () => Promise<void> | undefined {
  let waiting: (() => void)[] = [];
  let started = 0;

  function beginTurn(): void {
    const next = waiting.slice(0, limit);
    waiting = waiting.slice(limit);
    started = next.length;
    if (started > 0) setImmediate(beginTurn);
    for (const start of next) start();
  }

  return () => {
    if (started === limit) return new Promise((resolve) => waiting.push(resolve));
    if (started === 0) setImmediate(beginTurn);
    started += 1;
    return undefined;
  };
}
