/**
 * `npm run simulate -- --seeds N [--seed FIRST] [--calls 10000] [--store postgres]`: runs N simulations with seeds from FIRST, in parallel on
 * all processors. Without --seeds, runs one simulation. If an invariant is violated, exits with 1 and prints the call's history and
 * the command that repeats the simulation. `--store postgres` requires Postgres (Debian: postgresql).
 */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { StoreKind } from '../test/simulation/database.ts';
import { simulate } from '../test/simulation/simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    calls: { type: 'string', default: '10000' },
    store: { type: 'string', default: process.env.TEST_STORE ?? 'sqlite' },
    counts: { type: 'boolean', default: false },
  },
});
const [seeds, first, calls] = [values.seeds, values.seed, values.calls].map((text) => {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) {
    console.error(`expected a positive integer: ${text}`);
    process.exit(2);
  }
  return number;
}) as [number, number, number];

if (values.store !== 'sqlite' && values.store !== 'postgres') {
  console.error(`expected sqlite or postgres: ${values.store}`);
  process.exit(2);
}
const store: StoreKind = values.store;
const storeArgs = store === 'sqlite' ? [] : ['--store', store];

async function runOne(seed: number): Promise<boolean> {
  const startedAt = performance.now();
  const { violation, simulatedMs, events, counts } = await simulate({ seed, calls, store });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const summary = `${calls} calls, ${events} events in ${Math.round(simulatedMs / 1000)} s, simulated in ${seconds} s`;
  console.log(`seed ${seed}: ${violation === null ? 'ok' : 'FAILED'}, ${summary}`);
  if (violation !== null) console.log(violation);
  if (values.counts) for (const [event, count] of [...counts].sort()) console.log(`${count}\t${event}`);
  return violation === null;
}

/** Runs each seed in its own process. Returns the failed seeds. */
async function runAll(): Promise<number[]> {
  const queue = Array.from({ length: seeds }, (_, index) => first + index);
  const failed: number[] = [];
  const work = async () => {
    for (let seed = queue.shift(); seed !== undefined; seed = queue.shift()) {
      const { isOk, output } = await runInProcess(seed);
      if (!isOk) failed.push(seed);
      // Only failures go to standard output.
      (isOk ? process.stderr : process.stdout).write(output);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return failed;
}

function runInProcess(seed: number): Promise<{ isOk: boolean; output: string }> {
  const counts = values.counts ? ['--counts'] : [];
  const args = [
    import.meta.filename,
    '--seed',
    String(seed),
    '--calls',
    String(calls),
    ...storeArgs,
    ...counts,
  ];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      resolve({ isOk: error === null, output: stdout + stderr });
    });
  });
}

if (seeds === 1) {
  if (!(await runOne(first))) process.exitCode = 1;
} else {
  const failed = await runAll();
  console.log(
    failed.length === 0
      ? `${seeds} seeds of ${calls} calls: no conversation was ended, no phone stayed connected after its call, every live call has a room, every cancellation is completed, no hold was passed, every reader has every event once`
      : `failed: ${failed.map((seed) => `npm run simulate -- ${['--seed', seed, '--calls', calls, ...storeArgs].join(' ')}`).join('; ')}`,
  );
  if (failed.length > 0) process.exitCode = 1;
}
