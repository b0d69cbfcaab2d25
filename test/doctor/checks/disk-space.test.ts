import { expect, test } from 'vitest';
import { assessDiskSpace } from '../../../src/doctor/checks/disk-space.ts';

test.each([
  [5 * 1024 ** 3, 'ok'],
  [0.5 * 1024 ** 3, 'warning'],
  [1024 ** 2, 'failure'],
])('%i free bytes are reported as %s', (freeBytes, level) => {
  expect(assessDiskSpace(freeBytes)).toMatchObject({ check: 'disk', level });
});
