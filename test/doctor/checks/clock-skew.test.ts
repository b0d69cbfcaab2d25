import { expect, test } from 'vitest';
import { assessClockSkew } from '../../../src/doctor/checks/clock-skew.ts';

test.each([
  [2_500, 'ok'],
  [-2_500, 'ok'],
  [8_000, 'warning'],
  [-45_000, 'warning'],
  // The SDK accepts a webhook signed up to 10 s ahead, LiveKit a token signed up to 60 s ahead.
  [12_000, 'failure'],
  [-65_000, 'failure'],
  [-400_000, 'failure'],
  [null, 'unknown'],
])('a clock skew of %j ms is reported as %s', (clockSkewMs, level) => {
  expect(assessClockSkew(clockSkewMs)).toMatchObject({ check: 'clock', level });
});

test.each([
  [12_000, ['webhooks']],
  [8_000, []],
  [-65_000, ['tokens']],
  // The token of a webhook is valid for 5 minutes.
  [-309_000, ['tokens']],
  [-310_000, ['tokens', 'webhooks']],
])('the finding of a clock skew of %j ms names refused %j', (clockSkewMs, refused) => {
  const { message } = assessClockSkew(clockSkewMs);
  expect(message.includes('clock_skew')).toBe(refused.includes('webhooks'));
  expect(message.includes("LiveKit refuses hangup's tokens")).toBe(refused.includes('tokens'));
});
