import { expect, test } from 'vitest';
import { assessCredentials } from '../../../src/doctor/checks/credentials.ts';

test('accepted credentials are reported as ok', () => {
  expect(assessCredentials({ kind: 'accepted', roomNames: [] }, 0)).toMatchObject({
    check: 'credentials',
    level: 'ok',
  });
});

test.each([
  ['token', 0, 'failure'],
  ['token', null, 'failure'],
  // The secret may be correct, because LiveKit refuses every token with such a time.
  ['token', -3_600_000, 'unknown'],
  ['token', 10_800_000, 'unknown'],
  ['key', -3_600_000, 'failure'],
] as const)('a refused %s at a clock skew of %j ms is reported as %s', (reason, clockSkewMs, level) => {
  expect(assessCredentials({ kind: 'refused', reason }, clockSkewMs)).toMatchObject({
    check: 'credentials',
    level,
  });
});
