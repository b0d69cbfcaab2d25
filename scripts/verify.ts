/**
 * `npm run verify`, also `npm test`: runs Biome, tsc, knip and vitest concurrently. Prints the result and the duration of each
 * check at the end, and exits with 1 if a check failed. vitest receives the arguments.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');

interface Check {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
}

interface Result {
  readonly name: string;
  readonly hasPassed: boolean;
  readonly durationMs: number;
  readonly output: string;
}

// vitest compiles clients against these types.
const TYPES: Check = { name: 'types', program: 'tsc', args: ['-p', 'tsconfig.types.json'] };
const CLIENT: Check = { name: 'client', program: 'node', args: ['scripts/build-client.ts'] };
const TESTS: Check = { name: 'vitest', program: 'vitest', args: ['run', ...process.argv.slice(2)] };
// Several checkers would each compute the types that they share.
const ONE_CHECKER = ['--checkers', '1'];
const STATIC_CHECKS: readonly Check[] = [
  { name: 'biome', program: 'biome', args: ['check', '--error-on-warnings', '--colors=off'] },
  { name: 'tsc', program: 'tsc', args: ONE_CHECKER },
  { name: 'console', program: 'tsc', args: ['-p', 'src/console', ...ONE_CHECKER] },
  { name: 'knip', program: 'knip', args: [] },
];

/** @param isShown whether the output appears at once, or at the end with the result */
async function run({ name, program, args }: Check, { isShown }: { isShown: boolean }): Promise<Result> {
  const startedAt = performance.now();
  const child = spawn(join(ROOT, 'node_modules/.bin', program), args, {
    cwd: ROOT,
    stdio: isShown ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(child, 'close');
  return {
    name,
    hasPassed: child.exitCode === 0,
    durationMs: performance.now() - startedAt,
    output: Buffer.concat(chunks).toString(),
  };
}

const printLine = (line: string) => process.stdout.write(`${line}\n`);
const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`.padStart(8);

const startedAt = performance.now();
const results = [
  await run(TYPES, { isShown: false }),
  await run(CLIENT, { isShown: false }),
  ...(await Promise.all([
    run(TESTS, { isShown: true }),
    ...STATIC_CHECKS.map((check) => run(check, { isShown: false })),
  ])),
];
for (const { name, hasPassed, output } of results) {
  if (!hasPassed && output !== '') printLine(`${name}:\n${output}`);
}
for (const { name, hasPassed, durationMs } of results) {
  printLine(`${name.padEnd(8)}${hasPassed ? 'passed' : 'FAILED'}${seconds(durationMs)}`);
}
printLine(`${'total'.padEnd(14)}${seconds(performance.now() - startedAt)}`);
process.exitCode = results.every(({ hasPassed }) => hasPassed) ? 0 : 1;
