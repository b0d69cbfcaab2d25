/**
 * `npm run build`: writes dist/hangup, one executable for this machine's processor architecture, dist/hangup.licenses.txt and
 * dist/hangup.sbom.json (CycloneDX). Two builds of one commit are identical, byte for byte.
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
import { buildConsole, CONSOLE_FOLDER } from './build/console.ts';
import { licensesOf } from './build/licenses.ts';
import { bundledPackages, writeSbom } from './build/sbom.ts';

const ROOT = resolve(import.meta.dirname, '..');
const BUILD = join(ROOT, 'build');
const DIST = join(ROOT, 'dist');

/** Otherwise SIGUSR1 opens Node's debugger, even before hangup's first line runs. */
const SECURITY_FLAGS = ['--disable-sigusr1'];

/**
 * In MB. Without a maximum, V8's young generation outgrows all other memory and never shrinks. With a smaller minimum, V8
 * moves the parsed room list into the old generation.
 */
const MEMORY_FLAGS = ['--min-semi-space-size=1', '--max-semi-space-size=4'];

const printLine = (line: string) => process.stdout.write(`${line}\n`);
const run = (command: string, args: readonly string[]) =>
  execFileSync(command, args, { cwd: ROOT, encoding: 'utf8' }).trim();

/** Returns the commit, with `-dirty` if the tree differs from it; `unknown` outside a git repository. */
function commit(): string {
  try {
    const isDirty = run('git', ['status', '--porcelain', '--untracked-files=no']) !== '';
    return run('git', ['rev-parse', '--short=12', 'HEAD']) + (isDirty ? '-dirty' : '');
  } catch {
    return 'unknown';
  }
}

const startedAt = performance.now();
rmSync(BUILD, { recursive: true, force: true });
mkdirSync(BUILD, { recursive: true });
mkdirSync(DIST, { recursive: true });

printLine('bundling');
// hangup.cjs contains all packages of the thread's script, so its list is complete.
const bundled = [...(await bundle('src/main.ts', join(BUILD, 'hangup.cjs'), { isWrapped: true }))];
await bundle('src/store/sqlite/store-thread.ts', join(BUILD, 'store-thread.cjs'), { isWrapped: true });
bundled.push(...(await bundle('src/cli/mcp/sdk.ts', join(BUILD, 'mcp-sdk.cjs'))));
const { modules, firstLoadKb } = await buildConsole();
printLine(`console: first load ${firstLoadKb.toFixed(1)} kB with gzip`);
bundled.push(...modules);
// better-sqlite3's addon contains code from the headers of node-addon-api. Redoc's script is an asset, and the console's style
// begins with Tailwind's.
const unbundled = ['node-addon-api', 'redoc', 'tailwindcss'].map((name) => join(ROOT, 'node_modules', name));
const packages = [...bundledPackages(bundled), ...unbundled];
const { name, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
writeFileSync(join(BUILD, 'package.json'), JSON.stringify({ name, version, commit: commit() }));
const node = `node-linux-${process.arch}`;
const licenses = licensesOf([ROOT, ...packages, join(ROOT, 'node_modules', node)], bundled);
writeFileSync(join(BUILD, 'licenses.txt'), licenses);

printLine('stripping node');
const executable = join(BUILD, 'node');
copyFileSync(process.execPath, executable);
chmodSync(executable, 0o755);
// Strip before embedding: a stripped single file does not start.
try {
  run('strip', [executable]);
} catch (error) {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  printLine('strip is not installed (Debian: binutils): dist/hangup is about 30 MB larger');
}

const files = globSync(
  '{drizzle/{,postgres/}*.sql,drizzle/{,postgres/}meta/_journal.json,docs/*.*,docs/Caddyfile,docs/monitoring/{alerts.yml,dashboard.json}}',
  {
    cwd: ROOT,
  },
).toSorted();
const consoleFiles = globSync('**/*.*', { cwd: join(ROOT, CONSOLE_FOLDER) }).toSorted();
const assets: Record<string, string> = {
  'better_sqlite3.node': `node_modules/better-sqlite3/prebuilds/linux-${process.arch}.node`,
  'hangup.cjs': 'build/hangup.cjs',
  'thread.cjs': 'scripts/build/thread.cjs',
  'store-thread.cjs': 'build/store-thread.cjs',
  'mcp-sdk.cjs': 'build/mcp-sdk.cjs',
  'package.json': 'build/package.json',
  'licenses.txt': 'build/licenses.txt',
  'redoc.js': 'node_modules/redoc/bundles/redoc.standalone.js',
  ...Object.fromEntries(files.map((file) => [file, file])),
  ...Object.fromEntries(consoleFiles.map((file) => [`console/${file}`, join(CONSOLE_FOLDER, file)])),
};
/** Writes an executable that runs `main`. */
function embed(main: string, output: string, flags: readonly string[]): void {
  const sea = {
    main,
    mainFormat: 'commonjs',
    executable: 'build/node',
    output,
    useVfs: true,
    disableExperimentalSEAWarning: true,
    execArgvExtension: 'none',
    execArgv: flags,
    assets,
  };
  writeFileSync(join(BUILD, 'sea.json'), JSON.stringify(sea));
  run(process.execPath, ['--build-sea', 'build/sea.json']);
}

printLine('compiling');
const flags = [...SECURITY_FLAGS, ...MEMORY_FLAGS, '--experimental-vfs'];
// V8 accepts a cache only from the same Node with the same flags. The fixed seed makes two builds identical.
embed('scripts/build/cache.cjs', 'build/cache', [...flags, '--random-seed=1']);
run(join(BUILD, 'cache'), ['version']);
for (const script of ['hangup', 'store-thread']) {
  const isAccepted = `!new vm.Script(fs.readFileSync('build/${script}.cjs', 'latin1'), { cachedData: fs.readFileSync('build/${script}.cache') }).cachedDataRejected`;
  if (run(executable, [...flags, '-p', isAccepted]) !== 'true') throw new Error(`V8 rejects ${script}.cache`);
  assets[`${script}.cache`] = `build/${script}.cache`;
}

printLine('embedding');
embed('scripts/build/start.cjs', 'dist/hangup', flags);
writeFileSync(join(DIST, 'hangup.licenses.txt'), licenses);
writeSbom(ROOT, packages, join(DIST, 'hangup.sbom.json'));

const megabytes = Math.round(statSync(join(DIST, 'hangup')).size / 1e6);
printLine(
  `dist/hangup: ${megabytes} MB, ${packages.length} packages, built in ${Math.round(performance.now() - startedAt)} ms`,
);
