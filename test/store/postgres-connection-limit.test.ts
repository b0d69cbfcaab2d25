import { expect, onTestFinished, test } from 'vitest';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';

test.runIf(hasPostgres())(
  'requests share the connections that the server permits when these are fewer than the pool has',
  async () => {
    const url = await postgresDatabase();
    const database = new URL(url).pathname.slice(1);
    const role = `${database}_limited`;
    await query(url, `CREATE ROLE ${role} LOGIN CONNECTION LIMIT 3`);
    onTestFinished(() => query(url, `DROP ROLE ${role}`).then(() => {}));
    await query(url, `GRANT "${new URL(url).username}" TO ${role}`);
    const limited = new URL(url);
    limited.username = role;
    const store = await openPostgresStore({ url: limited.href });
    onTestFinished(() => store.close());
    const { organizationId } = await insertApiKey(store);
    const ids = Array.from({ length: 40 }, (_, i) => `c${i}`);
    const results = await Promise.all([
      ...ids.map((id) => store.findCall(id)),
      ...ids.map((id) => {
        const call = buildCall({ id, organizationId });
        return store.changeCall({ kind: 'register', call, apiKeyId: null });
      }),
      ...ids.map(() => store.countOpenDeletions()),
    ]);
    expect(results).toHaveLength(3 * ids.length);
    expect(await Promise.all(ids.map(async (id) => (await store.findCall(id))?.call.id))).toEqual(ids);
  },
);
