interface Planned {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  isCalledOff: boolean;
}

/** Of a long quiet time, so many are enough. */
const MOST_TURNS = 10;
const aTurn = () => new Promise((resolve) => setImmediate(resolve));

/** All that is going to happen, and the only clock. Of two things at one moment, what was planned first comes first. */
export class VirtualClock {
  now: number;
  /** How many things have happened. */
  happened = 0;
  /** A binary heap: the next one is in front. */
  readonly #planned: Planned[] = [];
  #order = 0;

  constructor(now: number) {
    this.now = now;
  }

  /** @returns what calls it off */
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
   * Lets things happen, each with all that follows from it at once, until it is so. What waits for `setImmediate` goes
   * on while time passes, a turn for each millisecond, first in first out: all of it the same for the same seed.
   * @throws whatever a thing that happens throws
   */
  async run(isEnough: () => boolean): Promise<void> {
    while (!isEnough()) {
      const next = this.#pop();
      if (next === undefined) throw new Error('nothing happens any more');
      if (next.isCalledOff) continue;
      for (let turns = Math.min(MOST_TURNS, next.at - this.now); turns > 0; turns -= 1) await aTurn();
      this.now = next.at;
      this.happened += 1;
      next.run();
      await aTurn();
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

  #isBefore(one: number, other: number): boolean {
    const a = this.#planned[one];
    const b = this.#planned[other];
    return a !== undefined && b !== undefined && (a.at - b.at || a.order - b.order) < 0;
  }

  #swap(one: number, other: number): void {
    const a = this.#planned[one];
    const b = this.#planned[other];
    if (a === undefined || b === undefined) return;
    this.#planned[one] = b;
    this.#planned[other] = a;
  }
}
