import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { serveTraffic } from '../harness/fleet.ts';
import { expectNothingLost, expectRetryable, expectRoomsGone, expectWhole } from '../harness/fleet-checks.ts';
import { expectOneSenderPerLease } from '../harness/lease-checks.ts';
import { ownPostgres } from '../harness/own-postgres.ts';
import { startPgBouncer } from '../harness/pgbouncer.ts';
import { withDatabase } from '../harness/postgres.ts';
import { query } from '../harness/postgres-server.ts';
import { Prng } from '../simulation/prng.ts';

/* Connections to Postgres: `npm run test:fleet`. */

const PROCESSES = 2;
/** The default size of the pool, and two connections for writes. */
const CONNECTIONS = 10;
const CLIENTS = 200;

const idsOf = (count: number) => Array.from({ length: count }, (_, i) => `c${i}`);

/** Counts hangup's connections until the returned function is called, which returns the largest number. */
function countConnections(url: string): () => Promise<number> {
  const stopping = new AbortController();
  let largest = 0;
  const run = async () => {
    while (!stopping.signal.aborted) {
      // Fails while the server starts, or has too many clients.
      const rows = await query<{ count: number }>(
        url,
        `SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'hangup'`,
      ).catch(() => []);
      largest = Math.max(largest, rows[0]?.count ?? 0);
      await delay(10);
    }
  };
  const ended = run();
  return async () => {
    stopping.abort();
    await ended;
    return largest;
  };
}

test.each([
  { name: 'enough connections', limit: 100 },
  { name: 'fewer connections than the pools', limit: 12 },
])(
  `${CLIENTS} clients at once and a restart of Postgres with $name open a bounded number of connections`,
  async ({ limit }) => {
    const postgres = await ownPostgres();
    // A limit for all users would also refuse the connections of this test.
    await query(postgres.url, `CREATE ROLE limited LOGIN CONNECTION LIMIT ${limit}`);
    await query(postgres.url, 'CREATE DATABASE limited OWNER limited');
    const url = withDatabase(postgres.url, 'limited');
    const { traffic } = await serveTraffic(url.replace('hangup@', 'limited@'), {
      processes: PROCESSES,
      clients: CLIENTS,
      prng: new Prng(1),
    });
    const count = countConnections(url);
    const running = traffic.run(idsOf(2 * CLIENTS));
    await expect.poll(() => traffic.answers.length).toBeGreaterThanOrEqual(CLIENTS);
    await postgres.crash();
    await delay(500);
    await postgres.restart();
    await running;
    await expectRoomsGone(url, traffic);
    await expectNothingLost(url, traffic);
    await expectWhole(url);
    expectRetryable(traffic);
    expect(await count()).toBeLessThanOrEqual(Math.min(PROCESSES * CONNECTIONS, limit));
  },
  120_000,
);

const hasPgBouncer = (process.env.PATH ?? '')
  .split(delimiter)
  .some((folder) => existsSync(join(folder, 'pgbouncer')));

test.runIf(hasPgBouncer)(
  'processes share Postgres through PgBouncer in transaction mode, while one of them is killed',
  async () => {
    const connections = 6;
    const postgres = await ownPostgres();
    const url = `${await startPgBouncer(postgres.url, connections)}?prepared_statements=false`;
    const { traffic, fleet } = await serveTraffic(url, { processes: PROCESSES, prng: new Prng(1) });
    const count = countConnections(postgres.url);
    const running = traffic.run(idsOf(400));
    await expect.poll(() => traffic.cancelled.size).toBeGreaterThanOrEqual(100);
    const [victim = ''] = fleet.running.keys();
    await fleet.kill(victim);
    await fleet.start();
    await running;
    await expectRoomsGone(postgres.url, traffic);
    await expectNothingLost(postgres.url, traffic);
    await expectWhole(postgres.url);
    await expectOneSenderPerLease(postgres.url, fleet.requests);
    expect(await count()).toBeLessThanOrEqual(connections);
  },
  120_000,
);
