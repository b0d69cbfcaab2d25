import { expect, test } from 'vitest';
import { assessSchema } from '../../../src/doctor/checks/schema.ts';

test.each([
  ['current', 'ok', 'f has the schema of this version'],
  ['behind', 'warning', 'f has the schema of an older version'],
  ['ahead', 'failure', 'f has the schema of a newer or different version'],
  ['uninitialized', 'failure', 'f is not a hangup database'],
] as const)('the schema version %s is reported as %s', (schema, level, message) => {
  expect(assessSchema('f', schema)).toMatchObject({ check: 'database', level, message });
});
