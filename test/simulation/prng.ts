/** Seeded pseudo-random numbers (mulberry32). Good enough for a simulation only. */
export class Prng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Returns an independent generator: its use does not change the numbers of this generator. */
  fork(): Prng {
    return new Prng(Math.floor(this.fraction() * 2 ** 32));
  }

  happens(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** Returns an integer; both ends are included. */
  between(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1));
  }

  /** Returns an integer of the exponential distribution, at most ten times the mean. */
  around(mean: number): number {
    return Math.round(Math.min(10, -Math.log(1 - this.fraction())) * mean);
  }

  of<T>(choices: readonly T[]): T {
    const chosen = choices[Math.floor(this.fraction() * choices.length)];
    if (chosen === undefined) throw new Error('the list of choices is empty');
    return chosen;
  }

  /** Returns a name with a probability by its weight. */
  among<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const names = Object.keys(weights) as Name[];
    let rest = this.fraction() * names.reduce((sum, name) => sum + weights[name], 0);
    for (const name of names) {
      rest -= weights[name];
      if (rest < 0) return name;
    }
    return this.of(names);
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => Math.floor(this.fraction() * 256));
  }
}
