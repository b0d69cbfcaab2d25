/**
 * `npm run test:browser`: opens hangup's pages in Chromium. Requires Chromium (Debian: chromium); CHROMIUM names another
 * program.
 */
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { findProgram } from './find-program.ts';

const ROOT = resolve(import.meta.dirname, '..');

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
