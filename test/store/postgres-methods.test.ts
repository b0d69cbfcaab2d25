import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { NewApiKey, OpenStore } from '../../src/ports/store.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';

/* What only Postgres can break in the methods that change no call: other transactions at the same time, and its JSON. */

describe.skipIf(!hasPostgres())('methods on Postgres', () => {
  let url: string;
  let stores: readonly [OpenStore, OpenStore];

  beforeEach(async () => {
    url = await postgresDatabase();
    stores = await Promise.all([openPostgresStore({ url }), openPostgresStore({ url })]);
    onTestFinished(async () => {
      await Promise.all(stores.map((store) => store.close()));
    });
    await insertApiKey(stores[0]);
  });

  const countOf = async (where: string) => (await query(url, `SELECT 1 FROM ${where}`)).length;
  /** Registers a call, cancels it, and completes the deletion of its room. */
  const endCall = async (id: string) => {
    const key = { organizationId: 'org_1', apiKeyId: 'key_1' };
    const call = buildCall({ id, organizationId: key.organizationId });
    await stores[0].changeCall({ kind: 'register', call, apiKeyId: key.apiKeyId });
    await stores[0].changeCall({ kind: 'cancel', callId: id, ...key, reason: null, leaseMs: 60_000 });
    expect(await stores[0].completeDeletions([{ callId: id, attempt: 1 }])).toEqual([true]);
  };

  test('API keys of one new organization that are created at once have one organization', async () => {
    const create = (i: number, organizationName = 'new') => {
      const parts: Partial<NewApiKey> = {
        id: `k${i}`,
        organizationIdIfNew: `o${i}`,
        hash: String(i).padStart(64, '0'),
      };
      const key = { organizationName, name: 'test', scopes: [], expiresAt: null, now: 1 };
      const [store] = i % 2 === 0 ? stores : stores.toReversed();
      return (store ?? stores[0]).createApiKey({
        id: '',
        hash: '',
        organizationIdIfNew: '',
        ...key,
        ...parts,
      });
    };
    const keys = await Promise.all(Array.from({ length: 10 }, (_, i) => create(i + 1)));
    expect(new Set(keys.map(({ organizationId }) => organizationId)).size).toBe(1);
    expect(await countOf("audit_log WHERE action = 'api_key.created'")).toBe(11);
  });

  test('an adoption prefix that is added and removed twice at once is added and removed once', async () => {
    const prefix = { prefix: 'p-', organizationName: 'acme', organizationIdIfNew: 'o', now: 1 };
    const added = await Promise.all(stores.map((store) => store.addAdoptionPrefix(prefix)));
    expect(added.toSorted()).toEqual(['added', 'taken']);
    const removed = await Promise.all(
      stores.map((store) => store.removeAdoptionPrefix({ prefix: 'p-', now: 2 })),
    );
    expect(removed.toSorted()).toEqual([false, true]);
    expect(await countOf("audit_log WHERE action LIKE 'adoption.%'")).toBe(2);
  });

  test('an API key that is revoked twice at once is revoked once', async () => {
    const revoked = await Promise.all(
      stores.map((store, i) => store.revokeApiKey({ id: 'key_1', now: 5 + i })),
    );
    expect(new Set(revoked.map((key) => key?.revokedAt)).size).toBe(1);
    expect(await countOf("audit_log WHERE action = 'api_key.revoked'")).toBe(1);
  });

  test('pruning keeps a call whose deletion becomes due while pruning waits for the room', async () => {
    await endCall('kept');
    await endCall('pruned');
    const client = new pg.Client(url);
    await client.connect();
    onTestFinished(() => client.end());
    await client.query("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('room:kept', 0))");
    const pruning = stores[0].pruneCalls({ before: Number.MAX_SAFE_INTEGER, limit: 10 });
    await expect.poll(() => countOf("pg_locks WHERE locktype = 'advisory' AND NOT granted")).toBe(1);
    await client.query(
      "UPDATE room_deletions SET state = 'available', finalized_at = NULL WHERE call_id = 'kept'; COMMIT",
    );
    expect(await pruning).toBe(1);
    expect(await query(url, 'SELECT call_id FROM room_deletions')).toEqual([{ call_id: 'kept' }]);
    expect(await query(url, 'SELECT id FROM calls')).toEqual([{ id: 'kept' }]);
  });

  test('pruning keeps an Idempotency-Key that a request uses again while pruning waits for its row', async () => {
    await query(
      url,
      "INSERT INTO idempotency_keys SELECT 'org_1', 'k' || i, 'f', i, '{}' FROM generate_series(1, 3) AS i",
    );
    const client = new pg.Client(url);
    await client.connect();
    onTestFinished(() => client.end());
    await client.query("BEGIN; UPDATE idempotency_keys SET created_at = 100 WHERE key = 'k1'");
    const pruning = stores[0].pruneIdempotencyKeys({ before: 10, limit: 2 });
    await expect.poll(() => countOf("pg_locks WHERE locktype = 'transactionid' AND NOT granted")).toBe(1);
    await client.query('COMMIT');
    expect(await pruning).toBe(1);
    const left = await query(url, 'SELECT key FROM idempotency_keys ORDER BY key');
    expect(left).toEqual([{ key: 'k1' }, { key: 'k3' }]);
  });

  test('a roster that contains \\u0000 has a version', async () => {
    await endCall('c');
    // Written by the driver as text: the column accepts every JSON.
    await query(
      url,
      `UPDATE calls SET roster = '{"members":[{"identity":"\\u0000"}],"sid":"RM","departures":3}'`,
    );
    expect(await stores[0].findRosterVersion('c')).toBe('RM:3');
  });

  test('a check of writes reports a schema that another version changed', async () => {
    expect(await stores[0].checkWritable()).toEqual({ isSchemaCurrent: true });
    await query(url, "INSERT INTO __drizzle_migrations VALUES (99, 'of a newer version', 1)");
    expect(await stores[0].checkWritable()).toEqual({ isSchemaCurrent: false });
  });

  test('a check of writes rejects while the database accepts no write', async () => {
    await query(url, 'ALTER TABLE __drizzle_migrations ADD CONSTRAINT none CHECK (id < 0) NOT VALID');
    await expect(stores[0].checkWritable()).rejects.toThrow('violates check constraint');
  });
});
