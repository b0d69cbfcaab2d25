import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assessDatabaseFile, inspectDatabaseFile } from '../../../src/doctor/checks/database-file.ts';
import { temporaryFolder } from '../../harness/temporary.ts';

const USER_ID = process.getuid?.();

test('inspectDatabaseFile returns missing for a path without a file', () => {
  expect(inspectDatabaseFile(join(temporaryFolder(), 'hangup.db'), USER_ID)).toEqual({ kind: 'missing' });
});

test('inspectDatabaseFile returns unusable for a directory', () => {
  const directory = join(temporaryFolder(), 'hangup.db');
  mkdirSync(directory);
  expect(inspectDatabaseFile(directory, USER_ID)).toEqual({
    kind: 'unusable',
    detail: 'not a regular file',
    advice: null,
  });
});

test('inspectDatabaseFile returns unusable when the path cannot be read', () => {
  const path = join(temporaryFolder(), 'x'.repeat(300));
  expect(inspectDatabaseFile(path, USER_ID)).toMatchObject({
    kind: 'unusable',
    detail: expect.stringContaining('ENAMETOOLONG'),
  });
});

test('inspectDatabaseFile returns the attributes of a file', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  writeFileSync(file, '', { mode: 0o600 });
  expect(inspectDatabaseFile(file, USER_ID)).toEqual({
    kind: 'present',
    access: { worldReadableFiles: [], isOwnedByUser: true, isWritable: true },
    freeBytes: expect.any(Number),
    walBytes: 0,
  });
});

test.each([
  [{ kind: 'missing' }, 'database not found: /f'],
  [{ kind: 'unusable', detail: 'not a regular file', advice: null }, 'cannot read /f: not a regular file'],
] as const)('the file %j is reported as a failure', (facts, message) => {
  expect(assessDatabaseFile('/f', facts)).toMatchObject({ check: 'database', level: 'failure', message });
});
