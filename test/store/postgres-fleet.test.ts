import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';

/** Ends the session that waits for an advisory lock. */
const END_WAITING = `SELECT pg_terminate_backend(pid) FROM pg_locks
  WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

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
    // It would wait for each lock for 2 s only. A new connection takes time on a busy machine.
    await delay(1_500);
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
