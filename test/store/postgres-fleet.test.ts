import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';

const WAITING = `FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
/** Counts the sessions that wait for an advisory lock. */
const COUNT_WAITING = `SELECT count(*)::int AS n ${WAITING}`;
/** Ends these sessions. */
const END_WAITING = `SELECT pg_terminate_backend(pid) ${WAITING}`;

describe.skipIf(!hasPostgres())('a heartbeat on Postgres', () => {
  test('that failed for its sender never takes effect afterwards', async () => {
    const url = await postgresDatabase();
    const store = await openPostgresStore({ url });
    onTestFinished(() => store.close());
    const other = new pg.Client(url);
    await other.connect();
    onTestFinished(() => other.end());
    await other.query("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('fleet', 0))");
    const sentAt = performance.now();
    const late = store.heartbeat({ memberId: 'a', wanted: ['pruning'], rateDivisor: null });
    const failed = expect(late).rejects.toThrow(StoreBusyError);
    // The transaction waits for the lock of the fleet, loses its connection, and waits on another one.
    await expect.poll(async () => (await other.query(COUNT_WAITING)).rows).toEqual([{ n: 1 }]);
    // It waits for each lock for 2 s only.
    await delay(1_000);
    expect((await other.query(END_WAITING)).rows).toHaveLength(1);
    await failed;
    expect(performance.now() - sentAt).toBeGreaterThan(2_900);
    await other.query('ROLLBACK');
    // The lock is free for the heartbeat now.
    expect(await store.heartbeat({ memberId: 'b', wanted: [], rateDivisor: null })).toMatchObject({
      members: 1,
    });
    expect(await query(url, 'SELECT id FROM fleet_members')).toEqual([{ id: 'b' }]);
  });
});
