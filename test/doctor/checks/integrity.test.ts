import { expect, test } from 'vitest';
import { assessIntegrity } from '../../../src/doctor/checks/integrity.ts';

test('a database without damage is reported as ok', () => {
  expect(assessIntegrity([])).toMatchObject({ check: 'integrity', level: 'ok' });
});

test('a damaged database is a failure that lists at most three faults', () => {
  expect(assessIntegrity(['a', 'b', 'c', 'd'])).toMatchObject({
    check: 'integrity',
    level: 'failure',
    message: 'the database is damaged: a; b; c',
  });
});
