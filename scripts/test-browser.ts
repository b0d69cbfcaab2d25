/**
 * `npm run test:browser`: opens hangup's pages in Chromium. Requires Chromium (Debian: chromium); CHROMIUM names another
 * program.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');

/** Returns the path of a program; undefined if the machine lacks the program. */
function findProgram(name: string): string | undefined {
  const folders = name.includes('/') ? [''] : (process.env.PATH ?? '').split(delimiter);
  return folders
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

const program = process.env.CHROMIUM ?? 'chromium';
const CHROMIUM = findProgram(program);
if (CHROMIUM === undefined) {
  process.stdout.write(`test:browser is not run: ${program} is not installed (Debian: chromium)\n`);
} else {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/browser'], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, BROWSER: '1', CHROMIUM },
  });
  process.exitCode = status ?? 1;
}
