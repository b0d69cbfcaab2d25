import type { Outputs } from '../api/trpc.ts';

export type Cancellation = Outputs['cancellations']['get'];

export interface Progress {
  /** The rooms of the stop: of the calls on record, or of the previewed calls if these are more. */
  readonly total: number;
  readonly gone: number;
  readonly waiting: number;
  readonly discarded: number;
  /** Rooms of calls that are not on record yet. */
  readonly recording: number;
  /** `rooms_left`: completed, and rooms may still exist. */
  readonly outcome: 'running' | 'done' | 'rooms_left';
}

/**
 * Returns the progress of a stop.
 * @param expected the calls of the preview, because the counts grow while calls are recorded; 0 if unknown
 */
export function progressOf(
  { state, counts }: Pick<Cancellation, 'state' | 'counts'>,
  expected = 0,
): Progress {
  const { cancelled, rooms } = counts;
  const scheduled = rooms.deleted + rooms.pending + rooms.discarded;
  const isCompleted = state === 'completed';
  const total = isCompleted ? scheduled : Math.max(expected, cancelled, scheduled);
  return {
    total,
    gone: rooms.deleted,
    waiting: rooms.pending,
    discarded: rooms.discarded,
    recording: total - scheduled,
    outcome: !isCompleted ? 'running' : rooms.discarded + rooms.pending > 0 ? 'rooms_left' : 'done',
  };
}

/** Returns a part as a percentage, rounded down: 100 means that nothing is left. */
export function percent(part: number, total: number): number {
  return total === 0 ? 100 : Math.floor((part / total) * 100);
}

/** Returns whether an operator must still watch a stop: it runs, or its hold refuses calls. */
export function isOpen({ state, hold }: Pick<Cancellation, 'state' | 'hold'>): boolean {
  return state === 'running' || hold?.state === 'active';
}
