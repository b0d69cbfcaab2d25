import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { phoneNumber, text } from '../../src/api/text.ts';
import { time, timeOrDate } from '../../src/api/times.ts';

const accepts = (schema: z.ZodType, value: string) => schema.safeParse(value).success;

test('of the basic plane, a phone number takes each character that its reader sees', () => {
  const different: string[] = [];
  for (let code = 0; code <= 0xffff; code += 1) {
    const character = String.fromCodePoint(code);
    const isVisible = !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u.test(character);
    if (accepts(phoneNumber, `1${character}1`) !== isVisible) different.push(code.toString(16));
  }
  expect(different).toEqual([]);
  expect(accepts(phoneNumber, '\u{1d7cf}')).toBe(false);
});

test('text counts an emoji as one character', () => {
  expect(accepts(text(3), '😀😀😀')).toBe(true);
  expect(accepts(text(3), '😀😀😀😀')).toBe(false);
  expect(accepts(text(3), 'abcd')).toBe(false);
  expect(accepts(text(3), '\ud83d')).toBe(false);
});

describe('times', () => {
  const two = (from: number, to: number) =>
    fc.integer({ min: from, max: to }).map((number) => String(number).padStart(2, '0'));
  const years = fc.oneof(
    fc.constantFrom('0000', '1900', '1969', '1970', '1971', '1999', '2000', '2100', '2400', '9998', '9999'),
    fc.integer({ min: 0, max: 9999 }).map((year) => String(year).padStart(4, '0')),
  );
  const monthsAndDays = fc.oneof(
    fc.constantFrom('01-01', '12-31', '02-28', '02-29', '02-30', '04-31'),
    fc.tuple(two(0, 13), two(0, 32)).map((parts) => parts.join('-')),
  );
  const offsets = fc.oneof(
    fc.constantFrom('Z', 'z', '', '+00:00', '-23:59', '+24:00', '+0100'),
    fc.tuple(fc.constantFrom('+', '-'), two(0, 24), two(0, 60)).map(([sign, h, m]) => `${sign}${h}:${m}`),
  );
  const clocks = fc
    .tuple(two(0, 24), two(0, 60), fc.oneof(two(0, 60), fc.constantFrom('00.5', '59.9999999999')))
    .map((parts) => parts.join(':'));
  const dates = fc.tuple(years, monthsAndDays).map((parts) => parts.join('-'));
  const isoTimes = fc
    .tuple(dates, clocks, offsets)
    .map(([date, clock, offset]) => `${date}T${clock}${offset}`);
  const isEnd = (value: string) => /^(1970-01-01|9999-12-31)/.test(value);

  test('a time is accepted when it exists and is in the years 1970 to 9999', () => {
    const exists = z.iso.datetime({ offset: true });
    fc.assert(
      fc.property(isoTimes, (value) => {
        const at = Date.parse(value);
        const isInRange = at >= 0 && at < Date.UTC(10_000, 0);
        const isInUtc = value.endsWith('Z') || !isEnd(value);
        const expected = accepts(exists, value) && isInRange && isInUtc && !/^1969|^0/.test(value);
        expect(accepts(time, value), value).toBe(expected);
        if (expected) expect(time.parse(value)).toBe(at);
      }),
      { numRuns: 20_000 },
    );
  });

  test('a date is accepted when it exists and is in the years 1970 to 9999', () => {
    fc.assert(
      fc.property(dates, (value) => {
        const expected = accepts(z.iso.date(), value) && value >= '1970' && value <= '9999-12-31';
        expect(accepts(timeOrDate('last'), value), value).toBe(expected);
      }),
      { numRuns: 5_000 },
    );
    expect(timeOrDate('first').parse('2026-11-23')).toBe(Date.UTC(2026, 10, 23));
    expect(timeOrDate('last').parse('9999-12-31')).toBe(Date.UTC(9999, 11, 31, 23, 59, 59, 999));
  });
});
