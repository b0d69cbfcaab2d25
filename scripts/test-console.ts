/**
 * `npm run test:console`: opens the console of the single file in Chromium, on the emulator. Builds the file if a source
 * is newer; HANGUP_BINARY names another file. Requires Chromium (Debian: chromium); CHROMIUM names another program.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { findProgram } from './find-program.ts';

const ROOT = resolve(import.meta.dirname, '..');
const BINARY = join(ROOT, 'dist/hangup');
const SOURCES = [
  'package-lock.json',
  'drizzle/**',
  'docs/*',
  'src/**',
  'scripts/build.ts',
  'scripts/build/**',
];

const changedAt = (file: string) => statSync(join(ROOT, file)).mtimeMs;

function isBuilt(): boolean {
  if (!existsSync(BINARY)) return false;
  const builtAt = statSync(BINARY).mtimeMs;
  return globSync(SOURCES, { cwd: ROOT }).every((file) => changedAt(file) <= builtAt);
}

const program = process.env.CHROMIUM ?? 'chromium';
const CHROMIUM = findProgram(program);
if (CHROMIUM === undefined) {
  process.stdout.write(`test:console is not run: ${program} is not installed (Debian: chromium)\n`);
} else {
  const { HANGUP_BINARY = BINARY } = process.env;
  if (HANGUP_BINARY === BINARY && !isBuilt()) {
    execFileSync(process.execPath, [join(ROOT, 'scripts/build.ts')], { cwd: ROOT, stdio: 'inherit' });
  }
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const args = process.argv.slice(2);
  const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/console/browser', ...args], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, BROWSER: '1', CHROMIUM, HANGUP_BINARY },
  });
  process.exitCode = status ?? 1;
}
