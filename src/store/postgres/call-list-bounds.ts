import type { Timestamp } from '../../domain/time.ts';
import type { CallQuery } from '../../ports/store.ts';

/*
 * The bounds of a list, both exclusive. An id is never empty, so a bound with the id '' is before all calls with the same
 * times. A call without a scheduled time has the order 0.
 */

const DAY_MS = 86_400_000;
/** Before and after all times. */
export const FIRST = Number.MIN_SAFE_INTEGER;
export const LAST = Number.MAX_SAFE_INTEGER;

interface Position {
  readonly createdAt: Timestamp;
  readonly id: string;
}

interface ScheduledPosition extends Position {
  /** The scheduled time; 0 for a call without one. */
  readonly order: Timestamp;
}

interface Between<Bound> {
  readonly low: Bound;
  readonly high: Bound;
}

/** A part of a list by scheduled time, whose calls have neighbouring scheduled times. */
export type Interval = Between<ScheduledPosition>;

export const datesOf = ({ from = FIRST, to = LAST }: CallQuery) => ({ from, to });

/** Returns the bounds of a list by creation. */
export function boundsOf(query: CallQuery): Between<Position> {
  const { from, to } = datesOf(query);
  const { after, sortOrder } = query;
  const low = { createdAt: from, id: '' };
  const high = { createdAt: to === LAST ? LAST : to + 1, id: '' };
  if (after === undefined) return { low, high };
  if (sortOrder === 'asc') return { low: after.createdAt < low.createdAt ? low : after, high };
  return { low, high: after.createdAt >= high.createdAt ? high : after };
}

/**
 * Returns the intervals of a list by scheduled time, in the order of the list. Between dates, the calls without a scheduled
 * time are an interval of their own, in which they are in the order of their creation.
 * @param days the days, in order, on which the calls between the dates are scheduled; null: any day
 */
export function intervalsOf(query: CallQuery, days: readonly number[] | null): Interval[] {
  const { from, to, after, sortOrder } = query;
  const hasDates = from !== undefined || to !== undefined;
  const intervals = hasDates
    ? intervalsBetweenDates(query, days)
    : [{ low: startOf(FIRST), high: startOf(LAST) }];
  const remaining =
    after === undefined
      ? intervals
      : intervals.flatMap((interval) => cut(interval, { ...after, order: after.sort }, sortOrder));
  return sortOrder === 'asc' ? remaining : remaining.reverse();
}

function intervalsBetweenDates(query: CallQuery, days: readonly number[] | null): Interval[] {
  const { from, to } = datesOf(query);
  const unscheduled = {
    low: { order: 0, createdAt: from, id: '' },
    high: { order: 0, createdAt: to === LAST ? LAST : to + 1, id: '' },
  };
  if (days === null) {
    return [{ low: startOf(FIRST), high: startOf(0) }, unscheduled, { low: endOf(0), high: startOf(LAST) }];
  }
  const scheduled = runsOf(days).map(({ first, last }) => ({
    low: first === 0 ? endOf(0) : startOf(first * DAY_MS),
    high: startOf((last + 1) * DAY_MS),
  }));
  return [
    ...scheduled.filter(({ high }) => high.order <= 0),
    unscheduled,
    ...scheduled.filter(({ high }) => high.order > 0),
  ];
}

/** Returns the runs of consecutive days. A run ends before the first day of 1970, where the unscheduled calls are. */
function runsOf(days: readonly number[]): { first: number; last: number }[] {
  const runs: { first: number; last: number }[] = [];
  for (const day of days) {
    const run = runs.at(-1);
    if (run !== undefined && run.last === day - 1 && day !== 0) run.last = day;
    else runs.push({ first: day, last: day });
  }
  return runs;
}

/** Returns a position before all calls of this order. */
const startOf = (order: Timestamp): ScheduledPosition => ({ order, createdAt: FIRST, id: '' });
/** Returns a position after all calls of this order. */
const endOf = (order: Timestamp): ScheduledPosition => ({ order, createdAt: LAST, id: '' });

/** Returns the part of an interval after a position, unless that part is empty. */
function cut({ low, high }: Interval, after: ScheduledPosition, sortOrder: 'asc' | 'desc'): Interval[] {
  if (sortOrder === 'asc') {
    if (compareTimes(after, high) >= 0) return [];
    return [{ low: compareTimes(after, low) < 0 ? low : after, high }];
  }
  if (compareTimes(after, low) < 0) return [];
  return [{ low, high: compareTimes(after, high) >= 0 ? high : after }];
}

/** Ids decide nothing: the id of a bound is '', which is before the id of a call. */
const compareTimes = (a: ScheduledPosition, b: ScheduledPosition) =>
  a.order - b.order || a.createdAt - b.createdAt;
