import { z } from 'zod';

/** Text that a person or a program wrote: no control characters, no half of a surrogate pair. */
export function text(maxLength: number) {
  return z
    .string()
    .min(1)
    .max(maxLength)
    .refine((value) => value.isWellFormed() && !/\p{Cc}/u.test(value), 'must not contain control characters');
}

/**
 * Schemas whose value may have a `+` where a space makes no sense. In a query string `+` is a space, and clients that
 * do not encode it mean the sign. `first`: only as the first character.
 */
export const plusSigns = z.registry<{ readonly where: 'first' | 'anywhere' }>();

/** Text without invisible characters: those of direction make another number of it for its reader. */
export const phoneNumber = text(64)
  .refine((value) => !/\p{Cf}/u.test(value), 'must not contain invisible characters')
  .register(plusSigns, { where: 'first' });

/** A LiveKit room's name: LiveKit counts its limit of 256 in bytes of UTF-8. */
export const roomName = text(256).refine(
  (value) => Buffer.byteLength(value) <= 256,
  'must be at most 256 bytes as UTF-8',
);

const MAX_TIME = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

const isInRange = (text: string) => {
  const at = Date.parse(text);
  return at >= 0 && at <= MAX_TIME;
};

const OUT_OF_RANGE = 'must be in the years 1970 to 9999';

/** An ISO 8601 time with its offset from UTC, as milliseconds. */
export const time = z.iso
  .datetime({ offset: true, error: 'expected an ISO 8601 time such as 2026-11-23T08:00:00Z' })
  .refine(isInRange, OUT_OF_RANGE)
  .transform((value) => Date.parse(value));

/** An ISO 8601 time, or a date alone: the whole of that day in UTC, so its first or its last millisecond. */
export function timeOrDate(edge: 'first' | 'last') {
  return z
    .union([z.iso.datetime({ offset: true }), z.iso.date()], {
      error: 'expected an ISO 8601 date or time such as 2026-11-23 or 2026-11-23T08:00:00Z',
    })
    .refine(isInRange, OUT_OF_RANGE)
    .transform((value) => {
      const isDate = !value.includes('T');
      return Date.parse(isDate && edge === 'last' ? `${value}T23:59:59.999Z` : value);
    })
    .register(plusSigns, { where: 'anywhere' });
}
