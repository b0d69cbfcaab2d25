import type { Outputs } from '../api/trpc.ts';

export type History = Outputs['health']['history'];
export type SeriesName = keyof History['series'];
type Values = readonly (number | null)[];

const ROW_S = 300;

/** Returns the times in seconds, as uPlot requires them. */
export function toSeconds(times: History['times']): number[] {
  return times.map((time) => Date.parse(time) / 1000);
}

export interface SeriesSummary {
  readonly latest: number;
  readonly min: number;
  readonly max: number;
}

/** Returns the latest value and the range of a series; null without a value. */
export function summarize(values: Values): SeriesSummary | null {
  const known = values.filter((value) => value !== null);
  const latest = known.at(-1);
  if (latest === undefined) return null;
  return { latest, min: Math.min(...known), max: Math.max(...known) };
}

export interface HistoryRow {
  /** The beginning of the row's five minutes, in seconds. */
  readonly from: number;
  /** The largest value of each series in these minutes; null without a value. */
  readonly values: readonly (number | null)[];
}

/** Returns the history as the rows of a table, the newest first: five minutes each. */
export function toRows(seconds: readonly number[], series: readonly Values[]): readonly HistoryRow[] {
  const rows = new Map<number, (number | null)[]>();
  for (const [index, time] of seconds.entries()) {
    const from = time - (time % ROW_S);
    const row = rows.get(from) ?? series.map(() => null);
    rows.set(from, row);
    for (const [column, values] of series.entries()) row[column] = larger(row[column], values[index]);
  }
  return [...rows].map(([from, values]) => ({ from, values })).toReversed();
}

function larger(a: number | null | undefined, b: number | null | undefined): number | null {
  if (a === null || a === undefined) return b ?? null;
  return b === null || b === undefined ? a : Math.max(a, b);
}

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const FRACTION = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

/** Returns a value of a chart with at most three significant places behind the point for small values. */
export function formatValue(value: number): string {
  return (Math.abs(value) < 10 ? FRACTION : WHOLE).format(value);
}

/** Returns the largest value of a chart's axis: a chart without activity is not a line at the top. */
export function axisMax(max: number | null): number {
  if (max === null || max <= 0) return 1;
  const magnitude = 10 ** Math.floor(Math.log10(max));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * magnitude >= max) ?? 10;
  return step * magnitude;
}
