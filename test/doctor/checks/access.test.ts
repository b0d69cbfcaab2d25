import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assessAccess, inspectAccess } from '../../../src/doctor/checks/access.ts';
import { temporaryFolder } from '../../harness/temporary.ts';

const PRIVATE = { worldReadableFiles: [], isOwnedByUser: true, isWritable: true };

test.each([
  ['private files', 'ok', PRIVATE],
  ["another user's files", 'warning', { ...PRIVATE, isOwnedByUser: false }],
  ['files without write permission', 'failure', { ...PRIVATE, isWritable: false }],
  ['world-readable files', 'failure', { ...PRIVATE, worldReadableFiles: ['f'] }],
])('%s are reported as %s', (_, level, facts) => {
  expect(assessAccess('f', facts)).toMatchObject({ check: 'access', level });
});

test.each([
  [['f'], 'f is world-readable and contains phone numbers', 'chmod 600 f'],
  [['f', 'f-wal'], 'f, f-wal are world-readable and contain phone numbers', 'chmod 600 f f-wal'],
])('a finding names the world-readable files %j', (worldReadableFiles, message, advice) => {
  expect(assessAccess('f', { ...PRIVATE, worldReadableFiles })).toMatchObject({ message, advice });
});

test('inspectAccess returns the mode of each file and the owner', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  writeFileSync(file, '');
  writeFileSync(`${file}-wal`, '');
  chmodSync(file, 0o600);
  chmodSync(`${file}-wal`, 0o604);
  const userId = process.getuid?.();
  expect(inspectAccess(file, userId)).toEqual({
    worldReadableFiles: [`${file}-wal`],
    isOwnedByUser: true,
    isWritable: true,
  });
  expect(inspectAccess(file, (userId ?? 0) + 1).isOwnedByUser).toBe(false);
});
