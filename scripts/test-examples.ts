/**
 * `npm run test:examples`: checks the types of clients/examples, and runs the examples against hangup on its emulator. Requires
 * python3 with venv, curl, jq and shellcheck, and for the page Chromium (Debian: chromium); CHROMIUM names another program.
 * Installs everything else in a temporary folder, from npm and PyPI.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, globSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { findProgram } from './find-program.ts';

const ROOT = resolve(import.meta.dirname, '..');
const SOURCES = join(ROOT, 'clients/examples');
const folder = mkdtempSync(join(tmpdir(), 'hangup-examples-'));
const copy = join(folder, 'clients/examples');
const venv = join(folder, 'venv');
const program = (name: string) => join(venv, 'bin', name);
const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');

/** Runs a program. Prints its output if the program fails. */
async function run(name: string, args: readonly string[], { cwd = copy, env = {} } = {}): Promise<void> {
  const child = spawn(name, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env },
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(child, 'close');
  if (child.exitCode === 0) return;
  const command = [basename(name), ...args].join(' ');
  throw new Error(`${command} failed in ${cwd}\n${Buffer.concat(chunks)}`);
}

/** Runs the work, and prints its duration. */
async function report(name: string, work: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  await work();
  process.stdout.write(`ok     ${name} (${((performance.now() - startedAt) / 1_000).toFixed(1)} s)\n`);
}

const installNode = (example: string) =>
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: join(copy, example) });

async function installPython(): Promise<void> {
  await run(process.env.PYTHON ?? 'python3', ['-m', 'venv', venv]);
  const client = join(ROOT, 'clients/python');
  const versions = join(client, 'requirements-dev.txt');
  await run(program('pip'), ['install', '-q', '--constraint', versions, client, 'mypy', 'ruff']);
}

async function checkPython(): Promise<void> {
  const cwd = join(copy, 'python');
  const config = ['--config', join(ROOT, 'clients/python/pyproject.toml')];
  await run(program('ruff'), ['format', '--check', '--no-cache', ...config, '.'], { cwd });
  await run(program('ruff'), ['check', '--no-cache', ...config, '.'], { cwd });
  await run(
    program('mypy'),
    ['--strict', '--python-version', '3.10', '--cache-dir', join(folder, 'mypy'), '.'],
    { cwd },
  );
}

const checkShell = () =>
  run('shellcheck', ['--external-sources', ...globSync('*.sh', { cwd: join(copy, 'curl') })], {
    cwd: join(copy, 'curl'),
  });

/** Runs the tests. Their output appears at once. */
async function runTests(files: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const child = spawn(process.execPath, [vitest, 'run', '--maxConcurrency=12', ...files], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('a test failed');
}

try {
  cpSync(SOURCES, copy, { recursive: true, filter: (file) => basename(file) !== 'node_modules' });
  // The examples depend on the folder of the client.
  mkdirSync(join(folder, 'clients'), { recursive: true });
  symlinkSync(join(ROOT, 'clients/typescript'), join(folder, 'clients/typescript'));
  copyFileSync(join(ROOT, 'test/examples/livekit-agent/job.ts'), join(copy, 'livekit-agent/src/job.ts'));
  await report('packages', () =>
    Promise.all([installNode('react'), installNode('livekit-agent'), installPython()]),
  );
  await report('types', () =>
    Promise.all([
      run(tsc, ['-p', 'react']),
      run(tsc, ['-p', 'livekit-agent']),
      // The scripts need no packages beside those of the repository.
      run(tsc, ['-p', join(SOURCES, 'javascript')]),
      checkPython(),
      checkShell(),
    ]),
  );
  await report('page', () => run('npm', ['run', 'build'], { cwd: join(copy, 'react') }));
  const chromium = findProgram(process.env.CHROMIUM ?? 'chromium');
  if (chromium === undefined) {
    process.stdout.write('The page is not opened: chromium is not installed\n');
    if (process.env.REQUIRE_ALL === '1') process.exitCode = 1;
  }
  const files = ['scripts', 'livekit-agent', ...(chromium === undefined ? [] : ['react'])];
  await runTests(
    files.map((name) => `test/examples/${name}.test.ts`),
    { EXAMPLES: copy, PYTHON: program('python'), CHROMIUM: chromium },
  );
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
