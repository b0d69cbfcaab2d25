/*
 * Makes a database of 5 million ended calls and 10,000 live ones.
 * `npm run bench -- --large FILE` uses the file instead of a database of its own.
 */
import { randomBytes } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/platform/clock.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { createDatabaseFile, findHangup } from './hangup.ts';
import { measureLists } from './list-times.ts';
import { makePostgresCalls } from './postgres-calls.ts';
import { LIVE_CALLS, LIVE_PREFIX, MANY_CALLS, makeCalls } from './seed.ts';

const USAGE = `Usage: node scripts/bench/make-calls.ts FILE [CALLS]
       node scripts/bench/make-calls.ts --database-url postgres://… [CALLS] [--measure]

  --database-url URL  fill an empty database on Postgres, as a superuser
  --measure           measure lists of every filter and order, at several depths, without HTTP
`;
/** Of a small database, at most this share of the calls is live. */
const LARGEST_LIVE_SHARE = 0.002;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'database-url': { type: 'string' }, measure: { type: 'boolean', default: false } },
});
const url = values['database-url'];
const [calls = String(MANY_CALLS), ...rest] = url === undefined ? positionals.slice(1) : positionals;
const [name] = positionals;
if (
  rest.length > 0 ||
  !/^[1-9]\d*$/.test(calls) ||
  (url === undefined && (name === undefined || values.measure))
) {
  process.stderr.write(USAGE);
  process.exit(2);
}
const beganAt = performance.now();
const report = (made: string) => {
  const seconds = (performance.now() - beganAt) / 1_000;
  process.stdout.write(`${calls} calls in ${seconds.toFixed(0)} s: ${made}\n`);
};
if (url === undefined) makeFile(resolve(name ?? ''));
else await fillPostgres(url);

function makeFile(file: string): void {
  const database = createDatabaseFile(findHangup(dirname(file), { isSource: true }), file);
  makeCalls(database, { calls: Number(calls), live: LIVE_CALLS, prefix: LIVE_PREFIX });
  report(file);
}

async function fillPostgres(databaseUrl: string): Promise<void> {
  const store = await openPostgresStore({ url: databaseUrl });
  try {
    const { organizationId } = await store.createApiKey({
      id: `key_${randomBytes(8).toString('hex')}`,
      organizationName: 'bench',
      organizationIdIfNew: 'org_bench',
      name: 'bench',
      hash: randomBytes(32).toString('hex'),
      scopes: [],
      expiresAt: null,
      now: systemClock.now(),
    });
    if (!(await hasCalls(organizationId))) {
      const live = Math.min(LIVE_CALLS, Math.ceil(Number(calls) * LARGEST_LIVE_SHARE));
      await makePostgresCalls({ url: databaseUrl, organizationId }, { calls: Number(calls), live });
      report(new URL(databaseUrl).pathname.slice(1));
    }
    if (values.measure) {
      const { lists, p50Ms, p99Ms, longestMs } = await measureLists(store, organizationId);
      const times = [p50Ms, p99Ms, longestMs].map((ms) => `${ms.toFixed(2)} ms`);
      process.stdout.write(`${lists} lists: p50 ${times[0]}, p99 ${times[1]}, longest ${times[2]}\n`);
    }
  } finally {
    await store.close();
  }

  async function hasCalls(organizationId: string): Promise<boolean> {
    const order = { sortBy: 'createdAt', sortOrder: 'asc' } as const;
    return (await store.listCalls({ organizationId, limit: 1, offset: 0, ...order })).total > 0;
  }
}
