import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assessWalSize, inspectWalSize } from '../../../src/doctor/checks/wal-size.ts';
import { temporaryFolder } from '../../harness/temporary.ts';

test('a -wal of 16 MiB has no finding', () => {
  expect(assessWalSize('f', 16 * 1024 ** 2)).toEqual([]);
});

test('a -wal of 121 MB is a warning with its size and the command that finds the reader', () => {
  expect(assessWalSize('f', 121_000_000)).toEqual([
    {
      check: 'disk',
      level: 'warning',
      message: 'f-wal takes 115 MiB, because a program reads the database without a pause',
      advice: expect.stringContaining('fuser -v f'),
    },
  ]);
});

test('the size of a -wal is 0 bytes when the file does not exist', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  expect(inspectWalSize(file)).toBe(0);
  writeFileSync(`${file}-wal`, 'wal');
  expect(inspectWalSize(file)).toBe(3);
});
