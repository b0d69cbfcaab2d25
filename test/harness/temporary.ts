import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { inject, onTestFinished } from 'vitest';

/** Makes an empty folder in the folder of this run, which is removed after the last test. */
export function makeTemporaryFolder(): string {
  return mkdtempSync(join(inject('temporaryFolder'), 'test-'));
}

/** Makes an empty folder and removes it after the test. */
export function temporaryFolder(): string {
  const folder = makeTemporaryFolder();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
