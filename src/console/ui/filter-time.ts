const SHORT = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });

/** Which end of a period a time is. A date without a time is the complete day in UTC. */
export type Bound = 'start' | 'end';

/** Returns the instant of a bound of a filter, as the API reads it. */
export function toInstant(value: string, bound: Bound): Date {
  const isDate = /^\d{4}-\d\d-\d\d$/.test(value);
  return new Date(isDate && bound === 'end' ? `${value}T23:59:59.999Z` : value);
}

/** Returns a bound for the reader, in the reader's zone. */
export function formatBound(value: string, bound: Bound): string {
  const instant = toInstant(value, bound);
  return Number.isNaN(instant.getTime()) ? value : SHORT.format(instant);
}

/** Returns a bound as the value of a field `datetime-local`, such as `2026-11-26T17:05`; empty without a valid time. */
export function toLocalField(value: string, bound: Bound): string {
  const instant = toInstant(value, bound);
  if (value === '' || Number.isNaN(instant.getTime())) return '';
  const pad = (part: number, length = 2) => String(part).padStart(length, '0');
  const date = `${pad(instant.getFullYear(), 4)}-${pad(instant.getMonth() + 1)}-${pad(instant.getDate())}`;
  return `${date}T${pad(instant.getHours())}:${pad(instant.getMinutes())}`;
}

/** Returns the bound of a value of a field `datetime-local`; the end of a period includes its last minute. */
export function fromLocalField(value: string, bound: Bound): string {
  const start = new Date(value);
  if (Number.isNaN(start.getTime())) return '';
  return new Date(start.getTime() + (bound === 'end' ? 59_999 : 0)).toISOString();
}
