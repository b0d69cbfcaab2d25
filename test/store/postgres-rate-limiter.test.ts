import { describe, expect, onTestFinished, test } from 'vitest';
import { systemTimers } from '../../src/platform/clock.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { createPostgresRateLimiters } from '../../src/store/postgres/rate-limiter.ts';
import type { Session } from '../../src/store/postgres/session.ts';
import { manualTimers } from '../harness/manual-timers.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';

describe.skipIf(!hasPostgres())('rate limits on Postgres', () => {
  async function openTwo() {
    const url = await postgresDatabase();
    const open = async () => {
      // A busy machine can need longer for a count than hangup waits before it counts in memory.
      const store = await openPostgresStore({ url, timers: manualTimers() });
      onTestFinished(() => store.close());
      return store;
    };
    return { url, first: await open(), second: await open() };
  }

  test('two processes share the counts of a key, and no count is lost or counted twice', async () => {
    const { url, first, second } = await openTwo();
    const limiters = [first.createRateLimiter('calls'), second.createRateLimiter('calls')];
    const counted = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => (await limiters[i % 2]?.count('key_1'))?.used),
    );
    expect(counted.toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 200 }, (_, i) => i + 1),
    );
    expect(await query(url, 'SELECT key, points FROM rate_limits')).toEqual([
      { key: 'calls:key_1', points: 200 },
    ]);
  });

  test('policies and keys have windows of their own, which end after 60 s', async () => {
    const { url, first, second } = await openTwo();
    expect((await first.createRateLimiter('calls').count('key_1')).used).toBe(1);
    expect((await second.createRateLimiter('cancels').count('key_1')).used).toBe(1);
    const calls = second.createRateLimiter('calls');
    expect((await calls.count('key_2')).used).toBe(1);
    const again = await calls.count('key_1');
    expect(again.used).toBe(2);
    expect(again.endsInMs).toBeGreaterThan(0);
    expect(again.endsInMs).toBeLessThanOrEqual(60_000);
    // The end of the window passes.
    await query(url, 'UPDATE rate_limits SET expire = expire - 60000');
    expect((await calls.count('key_1')).used).toBe(1);
  });

  test('the counts need no write-ahead log, so they cost no flush of a disk', async () => {
    const { url } = await openTwo();
    expect(await query(url, "SELECT relpersistence FROM pg_class WHERE relname = 'rate_limits'")).toEqual([
      { relpersistence: 'u' },
    ]);
  });
});

describe('rate limits without the database', () => {
  function start(execute: Session['execute']) {
    const limiters = createPostgresRateLimiters(
      { execute },
      { clock: { now: () => 0 }, timers: systemTimers },
    );
    onTestFinished(() => limiters.close());
    return limiters.create('calls');
  }

  test('requests are counted in memory while the database fails, without a statement for each request', async () => {
    let statements = 0;
    const limiter = start(() => {
      statements += 1;
      return Promise.reject(new Error('connect ECONNREFUSED'));
    });
    for (const used of [1, 2, 3]) expect((await limiter.count('key_1')).used).toBe(used);
    expect(statements).toBe(1);
  });

  test('a request is counted in memory when the database does not respond', async () => {
    const limiter = start(() => new Promise(() => {}));
    expect(await limiter.count('key_1')).toEqual({ used: 1, endsInMs: expect.any(Number) });
    expect((await limiter.count('key_1')).used).toBe(2);
  });
});
