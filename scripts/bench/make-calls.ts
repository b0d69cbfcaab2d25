/*
 * Makes a database of 5 million ended calls and 10,000 live ones: `node scripts/bench/make-calls.ts FILE [CALLS]`.
 * `npm run bench -- --large FILE` uses it instead of a database of its own.
 */
import { dirname, resolve } from 'node:path';
import { createDatabaseFile, findHangup } from './hangup.ts';
import { LIVE_CALLS, LIVE_PREFIX, MANY_CALLS, makeCalls } from './seed.ts';

const [name, calls = String(MANY_CALLS)] = process.argv.slice(2);
if (name === undefined || !/^[1-9]\d*$/.test(calls)) {
  process.stderr.write('Usage: node scripts/bench/make-calls.ts FILE [CALLS]\n');
  process.exit(2);
}
const file = resolve(name);
const beganAt = performance.now();
const database = createDatabaseFile(findHangup(dirname(file), { isSource: true }), file);
makeCalls(database, { calls: Number(calls), live: LIVE_CALLS, prefix: LIVE_PREFIX });
const seconds = (performance.now() - beganAt) / 1_000;
process.stdout.write(`${calls} calls in ${seconds.toFixed(0)} s: ${file}\n`);
