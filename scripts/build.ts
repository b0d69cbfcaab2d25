/**
 * `npm run build`: dist/hangup, one executable for this machine's kind of processor, with dist/hangup.licenses.txt and
 * dist/hangup.sbom.json (CycloneDX). Two builds of one commit are the same, byte for byte.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { bundle } from './build/bundle.ts';
import { licensesOf } from './build/licenses.ts';
import { bundledPackages, writeSbom } from './build/sbom.ts';

const ROOT = resolve(import.meta.dirname, '..');
const BUILD = join(ROOT, 'build');
const DIST = join(ROOT, 'dist');

/** Node.js opens its debugger on SIGUSR1 otherwise, also before the first line of hangup runs. */
const CLOSED = ['--disable-sigusr1'];

/**
 * In MB: V8 lets its young generation grow to more than all else takes, and gives nothing back. Smaller at first, it takes
 * what LiveKit's list is read into for something that stays.
 */
const FLAGS = ['--min-semi-space-size=1', '--max-semi-space-size=4'];

const say = (line: string) => process.stdout.write(`${line}\n`);
const run = (command: string, args: readonly string[]) =>
  execFileSync(command, args, { cwd: ROOT, encoding: 'utf8' }).trim();

/** The commit, and whether the tree differs from it; `unknown` outside of git. */
function commit(): string {
  try {
    const isDirty = run('git', ['status', '--porcelain', '--untracked-files=no']) !== '';
    return run('git', ['rev-parse', '--short=12', 'HEAD']) + (isDirty ? '-dirty' : '');
  } catch {
    return 'unknown';
  }
}

const beganAt = performance.now();
rmSync(BUILD, { recursive: true, force: true });
mkdirSync(BUILD, { recursive: true });
mkdirSync(DIST, { recursive: true });

say('bundling');
// All that the thread holds the script holds too.
const bundled = await bundle('src/main.ts', join(BUILD, 'hangup.cjs'));
await bundle('src/store/sqlite/store-thread.ts', join(BUILD, 'store-thread.cjs'));
// better-sqlite3's addon is compiled with the headers of node-addon-api.
const packages = [...bundledPackages(bundled), join(ROOT, 'node_modules/node-addon-api')];
const { name, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
writeFileSync(join(BUILD, 'package.json'), JSON.stringify({ name, version, commit: commit() }));
const node = `node-linux-${process.arch}`;
const licenses = licensesOf([ROOT, ...packages, join(ROOT, 'node_modules', node)], bundled);
writeFileSync(join(BUILD, 'licenses.txt'), licenses);

say('stripping node');
const executable = join(BUILD, 'node');
copyFileSync(process.execPath, executable);
chmodSync(executable, 0o755);
// Before anything is put into it: afterwards it would not start.
try {
  run('strip', [executable]);
} catch (error) {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  say('strip is not installed (Debian: binutils), so dist/hangup is some 30 MB larger than it need be');
}

say('compiling');
// By the Node and with the flags that read it. The seed is for V8's hash tables: two builds make the same cache.
run(executable, [...FLAGS, '--random-seed=1', 'scripts/build/cache.cjs']);

say('embedding');
const files = globSync(
  '{drizzle/*.sql,drizzle/meta/_journal.json,docs/*.*,docs/Caddyfile,docs/monitoring/{alerts.yml,dashboard.json}}',
  {
    cwd: ROOT,
  },
).toSorted();
const assets = {
  'better_sqlite3.node': `node_modules/better-sqlite3/prebuilds/linux-${process.arch}.node`,
  'hangup.cjs': 'build/hangup.cjs',
  'hangup.cache': 'build/hangup.cache',
  'thread.cjs': 'scripts/build/thread.cjs',
  'store-thread.cjs': 'build/store-thread.cjs',
  'package.json': 'build/package.json',
  'licenses.txt': 'build/licenses.txt',
  ...Object.fromEntries(files.map((file) => [file, file])),
};
const sea = {
  main: 'scripts/build/start.cjs',
  mainFormat: 'commonjs',
  executable: 'build/node',
  output: 'dist/hangup',
  useVfs: true,
  disableExperimentalSEAWarning: true,
  execArgvExtension: 'none',
  execArgv: [...CLOSED, ...FLAGS],
  assets,
};
writeFileSync(join(BUILD, 'sea.json'), JSON.stringify(sea));
run(process.execPath, ['--build-sea', 'build/sea.json']);
writeFileSync(join(DIST, 'hangup.licenses.txt'), licenses);
writeSbom(ROOT, packages, join(DIST, 'hangup.sbom.json'));

const megabytes = Math.round(statSync(join(DIST, 'hangup')).size / 1e6);
say(
  `dist/hangup: ${megabytes} MB of ${packages.length} packages, in ${Math.round(performance.now() - beganAt)} ms`,
);
