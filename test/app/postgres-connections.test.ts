import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { insertApiKey } from '../harness/calls.ts';
import { serveTraffic } from '../harness/fleet.ts';
import { expectNothingLost, expectRetryable, expectRoomsGone, expectWhole } from '../harness/fleet-checks.ts';
import { expectOneSenderPerLease } from '../harness/lease-checks.ts';
import { ownPostgres, startPostgresPair } from '../harness/own-postgres.ts';
import { startMovablePgBouncer, startPgBouncer } from '../harness/pgbouncer.ts';
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
);

test.runIf(hasPgBouncer)(
  'writes are refused as long as PgBouncer leads to a standby, and then continue',
  async () => {
    const pair = await startPostgresPair();
    const pooler = await startMovablePgBouncer(pair.primaryUrl(), 4);
    const store = await openPostgresStore({ url: pooler.url });
    onTestFinished(() => store.close());
    await insertApiKey(store);
    const cancel = () =>
      store
        .changeCall({
          kind: 'cancel',
          callId: 'unknown',
          organizationId: 'org_1',
          apiKeyId: 'key_1',
          reason: null,
          leaseMs: 1_000,
        })
        .then(
          ({ result }) => result.kind,
          (error: unknown) => error,
        );
    expect(await cancel()).toBe('not_found');
    // A pooler gives notifications to any of its clients.
    store.watchEvents(() => {});
    await delay(300);
    const listening =
      "SELECT pid FROM pg_stat_activity WHERE query LIKE '%LISTEN%' AND pid <> pg_backend_pid()";
    expect(await query(pair.primaryUrl(), listening)).toEqual([]);
    pooler.moveTo(pair.standbyUrl());
    const seen: unknown[] = [];
    for (const endsAt = performance.now() + 3_000; performance.now() < endsAt; await delay(50)) {
      seen.push(await cancel());
    }
    expect(seen.filter((answer) => answer !== 'not_found' && !(answer instanceof StoreBusyError))).toEqual(
      [],
    );
    expect(seen.at(-1)).toBeInstanceOf(StoreBusyError);
    pooler.moveTo(pair.primaryUrl());
    await expect.poll(cancel).toBe('not_found');
  },
);
