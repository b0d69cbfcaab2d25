/** Whole milliseconds since 1970-01-01T00:00:00Z. Only the edges use ISO 8601. */
export type Timestamp = number;
