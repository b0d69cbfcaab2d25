/**
 * `npm run simulate -- --seeds N [--seed FIRST] [--calls 10000]`: so many worlds of so many calls, each out of its own
 * seed, as many at a time as there are processors. `--seed S` alone runs that one. Ends with 1, the history of a call
 * and the command that shows it again when anything is so that must never be so.
 */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { simulate } from '../test/simulation/simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    calls: { type: 'string', default: '10000' },
    counts: { type: 'boolean', default: false },
  },
});
const [seeds, first, calls] = [values.seeds, values.seed, values.calls].map((text) => {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) {
    console.error(`not a whole number above 0: ${text}`);
    process.exit(2);
  }
  return number;
}) as [number, number, number];

async function one(seed: number): Promise<boolean> {
  const startedAt = performance.now();
  const { violation, simulatedMs, events, counts } = await simulate({ seed, calls });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const about = `${calls} calls, ${events} events in ${Math.round(simulatedMs / 1000)} s, simulated in ${seconds} s`;
  console.log(`seed ${seed}: ${violation === null ? 'ok' : 'FAILED'}, ${about}`);
  if (violation !== null) console.log(violation);
  if (values.counts) for (const [what, times] of [...counts].sort()) console.log(`${times}\t${what}`);
  return violation === null;
}

/** Each in a process of its own. @returns the seeds that failed */
async function many(): Promise<number[]> {
  const waiting = Array.from({ length: seeds }, (_, index) => first + index);
  const failed: number[] = [];
  const work = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const { isOk, output } = await inItsOwnProcess(seed);
      if (!isOk) failed.push(seed);
      // What failed is the result, the rest is progress.
      (isOk ? process.stderr : process.stdout).write(output);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return failed;
}

function inItsOwnProcess(seed: number): Promise<{ isOk: boolean; output: string }> {
  const counts = values.counts ? ['--counts'] : [];
  const args = [import.meta.filename, '--seed', String(seed), '--calls', String(calls), ...counts];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      resolve({ isOk: error === null, output: stdout + stderr });
    });
  });
}

if (seeds === 1) {
  if (!(await one(first))) process.exitCode = 1;
} else {
  const failed = await many();
  console.log(
    failed.length === 0
      ? `${seeds} seeds of ${calls} calls: no conversation was ended, no phone lives on after its call, no live call is without a room`
      : `failed: ${failed.map((seed) => `npm run simulate -- --seed ${seed} --calls ${calls}`).join('; ')}`,
  );
  if (failed.length > 0) process.exitCode = 1;
}
