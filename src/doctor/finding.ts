/** `unknown`: the check has no result, which is not a fault by itself. */
export type Severity = 'ok' | 'warning' | 'failure' | 'unknown';

/** One result of one check. `hangup doctor --json` prints these fields. */
export interface Finding {
  readonly check: string;
  readonly level: Severity;
  readonly message: string;
  /** The remedy. Can have several lines. */
  readonly advice?: string;
}

/** Returns a text such as `5 minutes ago`. A negative age, after a clock was set back, counts as zero. */
export function formatAge(ms: number): string {
  // Not at import: loading the locale takes 13 ms, which each start of the server would wait for.
  const age = new Intl.RelativeTimeFormat('en');
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return age.format(-seconds, 'second');
  if (seconds < 7_200) return age.format(-Math.round(seconds / 60), 'minute');
  return age.format(-Math.round(seconds / 3_600), 'hour');
}

/** Returns a text such as `1 room` or `2 rooms`. */
export function pluralize(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
