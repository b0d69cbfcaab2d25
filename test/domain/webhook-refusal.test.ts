import { describe, expect, test } from 'vitest';
import { checkClaims, type RefusalTally, tallyRefusal } from '../../src/domain/webhook-refusal.ts';

const NOW_S = 1_000_000;
const skew = (skewSeconds: number) => ({ reason: 'clock_skew', skewSeconds });

describe('judgeClaims', () => {
  test.each([
    ['signed now', { nbf: 0, exp: 300 }, null],
    ['signed 10 s ahead', { nbf: 10, exp: 310 }, null],
    ['signed 11 s ahead', { nbf: 11, exp: 311 }, skew(11)],
    ['expired 9 s ago', { nbf: -309, exp: -9 }, null],
    ['expired 10 s ago', { nbf: -310, exp: -10 }, skew(-310)],
    ['expired, without nbf', { exp: -60 }, skew(-60)],
    ['expired before it is valid', { nbf: 0, exp: -60 }, skew(-60)],
    ['valid never, far ahead', { nbf: Number.POSITIVE_INFINITY, exp: 300 }, skew(Number.POSITIVE_INFINITY)],
    ['valid for ever, without nbf', { exp: Number.POSITIVE_INFINITY }, null],
  ])('classifies a token that is %s', (_, { exp, ...times }, refusal) => {
    const claims = {
      exp: NOW_S + exp,
      ...('nbf' in times && { nbf: NOW_S + times.nbf }),
      sha256: 'of the body',
    };
    // Fractions of a second do not count.
    for (const now of [NOW_S * 1000, NOW_S * 1000 + 999]) {
      expect(checkClaims(claims, { now, bodySha256: 'of the body' })).toEqual(refusal);
    }
  });

  test.each(['of another body', '', undefined, null, 5, ['of the body']])(
    'classifies a sha256 %j',
    (sha256) => {
      const context = { now: NOW_S * 1000, bodySha256: 'of the body' };
      expect(checkClaims({ exp: NOW_S + 300, sha256 }, context)).toEqual({ reason: 'body_changed' });
      expect(checkClaims({ exp: NOW_S - 300, sha256 }, context)).toEqual(skew(-300));
    },
  );
});

test('a refusal is logged at most once a minute with the number since the last, also when the clock was set back', () => {
  let tally: RefusalTally | undefined;
  const logged = (now: number) => {
    const next = tallyRefusal(tally, now);
    tally = next.tally;
    return next.countToLog;
  };
  expect([0, 0, 30_000, 59_999].map(logged)).toEqual([1, 0, 0, 0]);
  expect([60_000, 61_000].map(logged)).toEqual([4, 0]);
  expect([-3_600_000, -3_590_000, -3_540_000].map(logged)).toEqual([2, 0, 2]);
});
