/** Whole milliseconds since 1970-01-01T00:00:00Z. Only the edges use ISO 8601. */
export type Timestamp = number;

/** Returns the time in ISO 8601, in UTC, with milliseconds. */
export function toIso(at: Timestamp): string {
  return new Date(at).toISOString();
}

export function toIsoOrNull(at: Timestamp | null): string | null {
  return at === null ? null : toIso(at);
}

/** Returns the earliest of the times; null if all are null. */
export function earliest(...times: readonly (Timestamp | null)[]): Timestamp | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}
