/** `npm run test:binary`: builds the single file twice, compares the files, and runs the end-to-end tests with the file. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { COMMAND_LINE_TESTS } from '../test/harness/command-line-tests.ts';

const ROOT = resolve(import.meta.dirname, '..');
/** Tests of the HTTP interface and the command line. */
const TESTS = [...COMMAND_LINE_TESTS, 'binary', 'http', 'app/signals', 'docs', 'platform/environment'].map(
  (name) => `test/${name}`,
);
const OUTPUTS = ['hangup', 'hangup.licenses.txt', 'hangup.sbom.json'];

const build = (folder: string) =>
  execFileSync(process.execPath, [join(folder, 'scripts/build.ts')], { cwd: folder, stdio: 'inherit' });
const digest = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Builds the same commit in another folder. Returns the digests. */
function buildElsewhere(): string[] {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const elsewhere = mkdtempSync(join(ROOT, 'dist/elsewhere-'));
  try {
    execFileSync('git', ['clone', '--quiet', ROOT, elsewhere]);
    // Hard links, because npm does not follow a folder that is a symbolic link.
    execFileSync('cp', ['-al', join(ROOT, 'node_modules'), join(elsewhere, 'node_modules')]);
    build(elsewhere);
    return OUTPUTS.map((name) => digest(join(elsewhere, 'dist', name)));
  } finally {
    rmSync(elsewhere, { recursive: true, force: true });
  }
}

build(ROOT);
const here = OUTPUTS.map((name) => digest(join(ROOT, 'dist', name)));
const there = buildElsewhere();
const different = OUTPUTS.filter((_, i) => here[i] !== there[i]);
if (different.length > 0) {
  process.stderr.write(`Two builds of one commit differ in ${different.join(', ')}.\n`);
  process.exitCode = 1;
} else {
  process.stdout.write('two builds of one commit are identical\n');
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...TESTS], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, HANGUP_BINARY: join(ROOT, 'dist/hangup') },
  });
  process.exitCode = status ?? 1;
}
