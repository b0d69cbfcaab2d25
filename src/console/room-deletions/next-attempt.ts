import { texts } from '../texts.ts';
import { formatDuration } from '../ui/time.tsx';

/** Returns the time until the next attempt, such as `in 12 s`. */
export function untilAttempt(iso: string, now: number): string {
  const ms = Date.parse(iso) - now;
  return texts.roomDeletions.until(ms < 1_000 ? null : formatDuration(ms));
}
