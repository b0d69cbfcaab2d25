import { expect, test } from 'vitest';
import { assessDurability } from '../../../src/doctor/checks/durability.ts';

test.each([
  ['wal', 'ok'],
  ['delete', 'warning'],
])('the journal mode %s is reported as %s', (journalMode, level) => {
  expect(assessDurability(journalMode)).toMatchObject({ check: 'durability', level });
});
