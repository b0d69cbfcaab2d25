import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Store } from '../../src/ports/store.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { manualClock } from '../harness/manual-clock.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres } from '../harness/postgres-server.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/** SQLite's store decides a claim with the time at which it was sent. A transaction of Postgres reads the clock when it begins. */
async function testClaims(open: (now: number) => Promise<Store>): Promise<void> {
  const later = await open(13_000);
  const earlier = await open(10_000);
  const key = await insertApiKey(later);
  const call = buildCall({ id: 'c1', organizationId: key.organizationId });
  await later.changeCall({ kind: 'register', call, apiKeyId: null });
  const { organizationId } = key;
  await later.changeCall({
    kind: 'cancel',
    callId: 'c1',
    organizationId,
    apiKeyId: key.id,
    reason: null,
    leaseMs: 0,
  });
  // The lease is as long as the longest delay of a deletion.
  const claim = { leaseMs: 15_000, maxDelayMs: 15_000, limit: 1 };
  expect(await later.claimDeletions(claim)).toMatchObject([{ callId: 'c1', attempt: 2 }]);
  expect(await earlier.claimDeletions(claim)).toEqual([]);
}

test('a claim that was sent earlier does not take the lease of a claim that a file committed first', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  await testClaims(async (now) => {
    const store = openSqliteStore(file, { clock: manualClock(now) });
    onTestFinished(() => store.close());
    return store;
  });
});

test.runIf(hasPostgres())(
  'a claim whose transaction began earlier does not take the lease of a claim that Postgres committed first',
  async () => {
    const url = await postgresDatabase();
    await testClaims(async (now) => {
      const store = await openPostgresStore({ url, clock: manualClock(now) });
      onTestFinished(() => store.close());
      return store;
    });
  },
);
