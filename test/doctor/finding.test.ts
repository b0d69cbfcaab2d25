import { expect, test } from 'vitest';
import { formatAge, pluralize } from '../../src/doctor/finding.ts';

test.each([
  [-500, '0 seconds ago'],
  [0, '0 seconds ago'],
  [1_000, '1 second ago'],
  [5_000, '5 seconds ago'],
  [119_000, '119 seconds ago'],
  [120_000, '2 minutes ago'],
  [300_000, '5 minutes ago'],
  [7_200_000, '2 hours ago'],
  [36_000_000, '10 hours ago'],
])('formatAge(%i) returns "%s"', (ms, text) => {
  expect(formatAge(ms)).toBe(text);
});

test('pluralize adds an s to every count except 1', () => {
  expect([0, 1, 2].map((count) => pluralize(count, 'room'))).toEqual(['0 rooms', '1 room', '2 rooms']);
});
