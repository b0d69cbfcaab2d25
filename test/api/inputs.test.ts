import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { dateOrTimestamp, isoTimestamp, phoneNumber, plainText } from '../../src/api/validators.ts';

const accepts = (schema: z.ZodType, value: string) => schema.safeParse(value).success;

test('a phone number accepts each visible character of the basic plane and no other character', () => {
  const mismatches: string[] = [];
  for (let code = 0; code <= 0xffff; code += 1) {
    const character = String.fromCodePoint(code);
    const isVisible = !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u.test(character);
    if (accepts(phoneNumber, `1${character}1`) !== isVisible) mismatches.push(code.toString(16));
  }
  expect(mismatches).toEqual([]);
  expect(accepts(phoneNumber, '\u{1d7cf}')).toBe(false);
});

test('plain text counts an emoji as one character', () => {
  expect(accepts(plainText(3), '😀😀😀')).toBe(true);
  expect(accepts(plainText(3), '😀😀😀😀')).toBe(false);
  expect(accepts(plainText(3), 'abcd')).toBe(false);
  expect(accepts(plainText(3), '\ud83d')).toBe(false);
});

describe('ISO 8601', () => {
  const twoDigits = (from: number, to: number) =>
    fc.integer({ min: from, max: to }).map((number) => String(number).padStart(2, '0'));
  const years = fc.oneof(
    fc.constantFrom('0000', '1900', '1969', '1970', '1971', '1999', '2000', '2100', '2400', '9998', '9999'),
    fc.integer({ min: 0, max: 9999 }).map((year) => String(year).padStart(4, '0')),
  );
  const monthsAndDays = fc.oneof(
    fc.constantFrom('01-01', '12-31', '02-28', '02-29', '02-30', '04-31'),
    fc.tuple(twoDigits(0, 13), twoDigits(0, 32)).map((parts) => parts.join('-')),
  );
  const offsets = fc.oneof(
    fc.constantFrom('Z', 'z', '', '+00:00', '-23:59', '+24:00', '+0100'),
    fc
      .tuple(fc.constantFrom('+', '-'), twoDigits(0, 24), twoDigits(0, 60))
      .map(([sign, h, m]) => `${sign}${h}:${m}`),
  );
  const clocks = fc
    .tuple(
      twoDigits(0, 24),
      twoDigits(0, 60),
      fc.oneof(twoDigits(0, 60), fc.constantFrom('00.5', '59.9999999999')),
    )
    .map((parts) => parts.join(':'));
  const dates = fc.tuple(years, monthsAndDays).map((parts) => parts.join('-'));
  const isoTimes = fc
    .tuple(dates, clocks, offsets)
    .map(([date, clock, offset]) => `${date}T${clock}${offset}`);
  const isFirstOrLastDay = (value: string) => /^(1970-01-01|9999-12-31)/.test(value);

  test('an existing time in the years 1970 to 9999 is accepted, and no other time', () => {
    const exists = z.iso.datetime({ offset: true });
    fc.assert(
      fc.property(isoTimes, (value) => {
        const at = Date.parse(value);
        const isInRange = at >= 0 && at < Date.UTC(10_000, 0);
        const isInUtc = value.endsWith('Z') || !isFirstOrLastDay(value);
        const expected = accepts(exists, value) && isInRange && isInUtc && !/^1969|^0/.test(value);
        expect(accepts(isoTimestamp, value), value).toBe(expected);
        if (expected) expect(isoTimestamp.parse(value)).toBe(at);
      }),
      { numRuns: 20_000 },
    );
  });

  test('an existing date in the years 1970 to 9999 is accepted, and no other date', () => {
    fc.assert(
      fc.property(dates, (value) => {
        const expected = accepts(z.iso.date(), value) && value >= '1970' && value <= '9999-12-31';
        expect(accepts(dateOrTimestamp('endOfDay'), value), value).toBe(expected);
      }),
      { numRuns: 5_000 },
    );
    expect(dateOrTimestamp('startOfDay').parse('2026-11-23')).toBe(Date.UTC(2026, 10, 23));
    expect(dateOrTimestamp('endOfDay').parse('9999-12-31')).toBe(Date.UTC(9999, 11, 31, 23, 59, 59, 999));
  });
});
