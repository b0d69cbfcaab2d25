/** A moment: whole milliseconds since 1970-01-01T00:00:00Z. ISO 8601 exists at the edges only. */
export type Timestamp = number;
