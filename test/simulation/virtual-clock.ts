interface Planned {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  isCalledOff: boolean;
}

/** Enough turns of the event loop for a long pause. */
const MOST_TURNS = 10;
/** More tasks at one moment are a loop without a pause. */
const MOST_TASKS_AT_ONCE = 20_000;
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** The simulation's clock and its queue of tasks. Tasks of one moment run in the order in which they were added. */
export class VirtualClock {
  now: number;
  /** Number of executed tasks. */
  happened = 0;
  /** A binary heap with the next task first. */
  readonly #planned: Planned[] = [];
  #order = 0;

  constructor(now: number) {
    this.now = now;
  }

  /** @returns a function that cancels the timer */
  after(delayMs: number, run: () => void): () => void {
    const planned = { at: this.now + Math.max(0, delayMs), order: this.#order, run, isCalledOff: false };
    this.#order += 1;
    this.#push(planned);
    return () => {
      planned.isCalledOff = true;
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve);
    });
  }

  /**
   * Runs tasks until `isDone`. After each task the event loop turns, at most once for each millisecond of the pause, so
   * that `setImmediate` makes progress in the same order for the same seed.
   * @throws the error of a task
   */
  async run(isEnough: () => boolean): Promise<void> {
    let tasks = 0;
    while (!isEnough()) {
      const next = this.#pop();
      if (next === undefined) throw new Error('no task is left');
      if (next.isCalledOff) continue;
      for (let turns = Math.min(MOST_TURNS, next.at - this.now); turns > 0; turns -= 1) await nextTurn();
      tasks = next.at === this.now ? tasks + 1 : 0;
      if (tasks > MOST_TASKS_AT_ONCE) throw new Error('a loop runs without a pause');
      this.now = next.at;
      this.happened += 1;
      next.run();
      await nextTurn();
    }
  }

  #push(planned: Planned): void {
    const heap = this.#planned;
    let at = heap.push(planned) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #pop(): Planned | undefined {
    const heap = this.#planned;
    this.#swap(0, heap.length - 1);
    const first = heap.pop();
    let at = 0;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (this.#isBefore(child, least)) least = child;
      if (least === at) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(first: number, second: number): boolean {
    const a = this.#planned[first];
    const b = this.#planned[second];
    return a !== undefined && b !== undefined && (a.at - b.at || a.order - b.order) < 0;
  }

  #swap(first: number, second: number): void {
    const a = this.#planned[first];
    const b = this.#planned[second];
    if (a === undefined || b === undefined) return;
    this.#planned[first] = b;
    this.#planned[second] = a;
  }
}
