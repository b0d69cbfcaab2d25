/**
 * `npm run test:fleet -- [--seeds 20] [--seed FIRST] [--calls 2000] [--kills 50] [--failovers 10]`: kills processes of a fleet,
 * Postgres, and the primary of two Postgres servers, under load, and breaks connections at their COMMIT. Requires Postgres (Debian: postgresql). The test of PgBouncer
 * requires pgbouncer. With REQUIRE_ALL=1, a machine without Postgres is a failure.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findPostgres } from '../test/harness/postgres-server.ts';

const ROOT = resolve(import.meta.dirname, '..');
const FILES = [
  'fleet-kills',
  'postgres-commits',
  'postgres-connections',
  'postgres-crash',
  'postgres-failover',
];

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    calls: { type: 'string', default: '2000' },
    kills: { type: 'string', default: '50' },
    failovers: { type: 'string', default: '10' },
  },
});
for (const text of Object.values(values)) {
  if (Number.isSafeInteger(Number(text)) && Number(text) >= 1) continue;
  process.stderr.write(`expected a positive integer: ${text}\n`);
  process.exit(2);
}

if (findPostgres() === null) {
  process.stdout.write('test:fleet is not run: Postgres is not installed (Debian: postgresql)\n');
  if (process.env.REQUIRE_ALL) process.exitCode = 1;
} else {
  const path = `${process.env.PATH}${delimiter}/usr/sbin`;
  if (!path.split(delimiter).some((folder) => existsSync(join(folder, 'pgbouncer')))) {
    process.stdout.write(
      'The test of PgBouncer is not run: pgbouncer is not installed (Debian: pgbouncer)\n',
    );
  }
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  // One file at a time: the load of one would delay the responses of another.
  const args = ['run', '--no-file-parallelism', ...FILES.map((name) => `test/app/${name}.test.ts`)];
  const { status } = spawnSync(process.execPath, [vitest, ...args], {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: path,
      FLEET: '1',
      SEEDS: values.seeds,
      FIRST_SEED: values.seed,
      CALLS: values.calls,
      KILLS: values.kills,
      FAILOVERS: values.failovers,
    },
  });
  process.exitCode = status ?? 1;
}
