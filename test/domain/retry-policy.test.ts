import fc from 'fast-check';
import { expect, test } from 'vitest';
import { retryDelayMs } from '../../src/domain/retry-policy.ts';

const POLICY = { initialDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 };
const delayAfter = (attempt: number, random = 0) => retryDelayMs(POLICY, { ageMs: 0, attempt, random });

test('the delay doubles from 1 s up to 60 s', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8, 1_000].map((attempt) => delayAfter(attempt))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000,
  ]);
});

test('jitter shortens the delay by up to a fifth', () => {
  expect(delayAfter(1, 0.5)).toBe(900);
  expect(delayAfter(7, 0.999_999)).toBe(48_000);
});

test('no attempt follows after the maximum age', () => {
  const late = { ageMs: 86_400_000 - 999, attempt: 1, random: 0 };
  expect(retryDelayMs(POLICY, late)).toBeNull();
  expect(retryDelayMs(POLICY, { ...late, ageMs: late.ageMs - 1 })).toBe(1_000);
});

test('the delay is positive and never longer than the maximum', () => {
  fc.assert(
    fc.property(
      fc.nat(80_000_000),
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (ageMs, attempt, random) => {
        const delayMs = retryDelayMs(POLICY, { ageMs, attempt, random });
        expect(delayMs).toBeGreaterThan(0);
        expect(delayMs).toBeLessThanOrEqual(60_000);
      },
    ),
  );
});
