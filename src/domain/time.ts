/** Whole milliseconds since 1970-01-01T00:00:00Z. Only the edges use ISO 8601. */
export type Timestamp = number;

const DAY_MS = 86_400_000;
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'));
const THREE_DIGITS = Array.from({ length: 1_000 }, (_, number) => String(number).padStart(3, '0'));
/** The day of the latest call of {@link toIso}, and its date with a T: most times of a response are on one day. */
let latestDay = Number.NaN;
let latestDate = '';

/** Returns the time in ISO 8601, in UTC, with milliseconds. A Date would take three times as long. */
export function toIso(at: Timestamp): string {
  const day = Math.floor(at / DAY_MS);
  if (day !== latestDay) {
    latestDate = new Date(at).toISOString().slice(0, -'00:00:00.000Z'.length);
    latestDay = day;
  }
  const ms = at - day * DAY_MS;
  const seconds = Math.floor(ms / 1_000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const time = `${TWO_DIGITS[hours]}:${TWO_DIGITS[minutes - hours * 60]}:${TWO_DIGITS[seconds - minutes * 60]}`;
  return `${latestDate}${time}.${THREE_DIGITS[ms - seconds * 1_000]}Z`;
}

export function toIsoOrNull(at: Timestamp | null): string | null {
  return at === null ? null : toIso(at);
}

/** Returns the earliest of the times; null if all are null. */
export function earliest(...times: readonly (Timestamp | null)[]): Timestamp | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}
