import { z } from 'zod';
import { CANCELLATION_STATES } from '../../domain/cancellation.ts';
import { CliError } from '../output.ts';

/* The parts of the server's responses that the commands read. Loose: `--json` prints all fields. */

const CountsSchema = z.looseObject({
  cancelled: z.int(),
  rooms: z.looseObject({ deleted: z.int(), pending: z.int(), discarded: z.int() }),
});
export type Counts = z.output<typeof CountsSchema>;

export const CancellationSchema = z.looseObject({
  id: z.string(),
  state: z.enum(CANCELLATION_STATES),
  reason: z.string(),
  createdAt: z.string(),
  hold: z.looseObject({ state: z.string() }).nullable(),
  counts: CountsSchema,
});
export type Cancellation = z.output<typeof CancellationSchema>;

export const PreviewSchema = z.looseObject({
  dryRun: z.literal(true),
  matched: z.looseObject({
    initiated: z.int(),
    connecting: z.int(),
    ringing: z.int(),
    active: z.int(),
    total: z.int(),
  }),
  sample: z.array(
    z.looseObject({
      id: z.string(),
      status: z.string(),
      agent: z.looseObject({ id: z.string().nullable() }),
      phoneNumber: z.string().nullable(),
      createdAt: z.string(),
    }),
  ),
});
export type Preview = z.output<typeof PreviewSchema>;

/** Returns the path of a cancellation in the REST API. @throws CliError for an id that no path can contain */
export function cancellationPath(id: string): string {
  // URL normalization would remove these path segments.
  if (/^\.{0,2}$/.test(id)) throw new CliError('Cancellation not found.');
  return `/cancellations/${encodeURIComponent(id)}`;
}

/** Returns whether no room of a cancellation is left. */
export function isDone({ state, counts: { rooms } }: Cancellation): boolean {
  return state === 'completed' && rooms.pending === 0 && rooms.discarded === 0;
}

/** Returns `1 call` or `2 calls`. */
export function countCalls(count: number): string {
  return `${count} ${count === 1 ? 'call' : 'calls'}`;
}

export function describeCounts({ cancelled, rooms }: Counts): string {
  return `${cancelled} cancelled; rooms: ${rooms.deleted} gone, ${rooms.pending} pending, ${rooms.discarded} discarded`;
}

/**
 * Returns a bar for a terminal: `#` for rooms that are gone, `=` for calls that are cancelled on record.
 * @param expected the calls that matched before the start, because the counts grow while calls are recorded
 * @param width columns between the brackets
 */
export function formatBar(
  { cancelled, rooms }: Counts,
  { expected, width }: { expected: number; width: number },
): string {
  const total = Math.max(expected, cancelled, rooms.deleted + rooms.pending + rooms.discarded, 1);
  // Rounded down: a full bar means that the last room is gone.
  const gone = Math.floor((rooms.deleted / total) * width);
  const recorded = Math.max(gone, Math.floor((cancelled / total) * width));
  return `[${'#'.repeat(gone)}${'='.repeat(recorded - gone)}${' '.repeat(width - recorded)}]`;
}
