import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextAttemptAt } from '../../src/domain/retry-policy.ts';

const POLICY = { firstDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 };
const at = (attempt: number, random = 0) => nextAttemptAt(POLICY, { now: 0, since: 0, attempt, random });

test('a retry waits 1 s, 2 s, 4 s and so on, at most 60 s', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8, 1_000].map((attempt) => at(attempt))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000,
  ]);
});

test('jitter shortens a wait by up to a fifth', () => {
  expect(at(1, 0.5)).toBe(900);
  expect(at(7, 0.999_999)).toBe(48_000);
});

test('no retry is scheduled after the maximum age', () => {
  const late = { now: 86_400_000 - 999, since: 0, attempt: 1, random: 0 };
  expect(nextAttemptAt(POLICY, late)).toBeNull();
  expect(nextAttemptAt(POLICY, { ...late, now: late.now - 1 })).toBe(86_400_000);
});

test('a retry is scheduled after now, and never later than the longest wait', () => {
  fc.assert(
    fc.property(
      fc.nat(80_000_000),
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (now, attempt, random) => {
        const next = nextAttemptAt(POLICY, { now, since: 0, attempt, random });
        expect(next).toBeGreaterThan(now);
        expect(next).toBeLessThanOrEqual(now + 60_000);
      },
    ),
  );
});
