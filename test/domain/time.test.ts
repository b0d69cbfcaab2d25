import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toIso } from '../../src/domain/time.ts';

/** The largest time of a Date, in milliseconds before and after 1970. */
const LIMIT_MS = 8_640_000_000_000_000;

test('toIso returns the text of Date.toISOString for every time of a Date', () => {
  const nearby = fc.tuple(
    fc.integer({ min: -LIMIT_MS, max: LIMIT_MS }),
    fc.integer({ min: 0, max: 90_000_000 }),
  );
  const times = fc.oneof(
    fc.integer({ min: -LIMIT_MS, max: LIMIT_MS }),
    fc.integer({ min: 0, max: Date.UTC(9999, 11, 31, 23, 59, 59, 999) }),
    fc.constantFrom(0, -1, 86_399_999, 86_400_000, Date.UTC(2028, 1, 29), LIMIT_MS, -LIMIT_MS),
    nearby.map(([at, offset]) => Math.min(at + offset, LIMIT_MS)),
  );
  fc.assert(
    fc.property(times, times, (first, second) => {
      // The second time may be on the day of the first one.
      for (const at of [first, second, Math.min(second + 1, LIMIT_MS)]) {
        expect(toIso(at)).toBe(new Date(at).toISOString());
      }
    }),
    { numRuns: 5_000 },
  );
});

test('toIso rejects a time that is not a number, and the next time is not affected', () => {
  expect(toIso(1)).toBe('1970-01-01T00:00:00.001Z');
  expect(() => toIso(Number.NaN)).toThrow(RangeError);
  expect(toIso(2)).toBe('1970-01-01T00:00:00.002Z');
});
