import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../harness/temporary.ts';

test('20,000 lists of different shapes need less than 150 MB of memory', async () => {
  const args = [
    '--import',
    'tsx',
    fileURLToPath(new URL('./list-memory.ts', import.meta.url)),
    join(temporaryFolder(), 'hangup.db'),
    '20000',
  ];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  // About 40 MB. Without a limit, or with a limit and one connection, the growth is about 400 MB.
  expect(JSON.parse(stdout)).toEqual({ growthMb: expect.any(Number) });
  expect(JSON.parse(stdout).growthMb).toBeLessThan(150);
});
