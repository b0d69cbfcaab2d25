import { expect, onTestFinished, test } from 'vitest';
import type { Store } from '../../src/ports/store.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { manualClock } from '../harness/manual-clock.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres } from '../harness/postgres-server.ts';

test.runIf(hasPostgres())(
  'a claim whose transaction began earlier does not take the lease of a claim that committed first',
  async () => {
    const url = await postgresDatabase();
    const open = async (now: number): Promise<Store> => {
      const store = await openPostgresStore({ url, clock: manualClock(now) });
      onTestFinished(() => store.close());
      return store;
    };
    const later = await open(10_001);
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
  },
);
