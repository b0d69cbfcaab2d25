import type { Bench } from './context.ts';
import type { Goal, Group, Row, Side } from './group.ts';

export interface Result {
  readonly row: Row;
  /** Medians over all rounds. */
  readonly value: number;
  readonly baseline: number;
  readonly ratio: number;
  /** The smallest and the largest ratio of one round. */
  readonly lowestRatio: number;
  readonly highestRatio: number;
  readonly rounds: number;
  /** Null: the row has no goal. */
  readonly isReached: boolean | null;
}

/** Measures the wanted rows of a group: in each round all sides once, and in the next round in reverse order. */
export async function measureGroup(
  bench: Bench,
  group: Group,
  { rows, rounds }: { rows: readonly Row[]; rounds: number },
): Promise<Result[]> {
  const wanted = new Set(rows.flatMap(({ measured, against }) => [measured, against]));
  const sides = Object.entries(await group.open(bench, wanted)).filter(([name]) => wanted.has(name));
  if (group.hasWarmUp !== false) for (const [, measure] of sides) await measure();
  const values = new Map<string, number[]>(sides.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    const inTurn: readonly (readonly [string, Side])[] = round % 2 === 0 ? sides : sides.toReversed();
    for (const [name, measure] of inTurn) values.get(name)?.push(await measure());
  }
  return rows.map((row) => resultOf(row, valuesOf(values, row.measured), valuesOf(values, row.against)));
}

function valuesOf(values: ReadonlyMap<string, readonly number[]>, side: string): readonly number[] {
  const found = values.get(side);
  if (found === undefined) throw new Error(`the group has no side ${side}`);
  return found;
}

function resultOf(row: Row, measured: readonly number[], against: readonly number[]): Result {
  const ratios = measured.map((value, round) => value / (against[round] ?? Number.NaN));
  const [value, ratio] = [median(measured), median(ratios)];
  return {
    row,
    value,
    baseline: median(against),
    ratio,
    lowestRatio: Math.min(...ratios),
    highestRatio: Math.max(...ratios),
    rounds: ratios.length,
    isReached: row.goal === null ? null : isReached(row.goal, { value, ratio }),
  };
}

function isReached(goal: Goal, { value, ratio }: { value: number; ratio: number }): boolean {
  if ('ratioAtLeast' in goal) return ratio >= goal.ratioAtLeast;
  if ('ratioAtMost' in goal) return ratio <= goal.ratioAtMost;
  return value <= goal.valueAtMost;
}

/** Of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low = Number.NaN, high = Number.NaN] = [
    sorted[Math.floor((sorted.length - 1) / 2)],
    sorted[Math.floor(sorted.length / 2)],
  ];
  return (low + high) / 2;
}
