import pg from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { isLive } from '../../src/domain/call-status.ts';
import { createApiKey } from '../../src/store/postgres/api-keys.ts';
import { listCalls } from '../../src/store/postgres/call-list.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { pruneCalls } from '../../src/store/postgres/retention.ts';
import { insertApiKey } from '../harness/calls.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';
import { type FilledStore, listConformance, makeCalls, type StoredCall } from './list-conformance.ts';

async function openFilledStore(calls: readonly StoredCall[]): Promise<FilledStore> {
  const url = await postgresDatabase();
  const db = await openDatabase({ url });
  onTestFinished(() => db.close());
  const { id: apiKeyId, organizationId } = await insertApiKey({
    createApiKey: (input) => createApiKey(db, input),
  });
  await query(
    url,
    `INSERT INTO cancellations (id, organization_id, state, reason, created_by, created_at, selector, reported_counts, reported_at)
     SELECT id, $1, 'running', '', $2, 0, '{}', '{}', 0 FROM (VALUES ('can'), ('other')) AS cancellations (id)`,
    [organizationId, apiKeyId],
  );
  const rows = calls.map((call) => ({ ...call, endedAt: isLive(call.status) ? null : call.createdAt }));
  await query(
    url,
    `INSERT INTO calls (id, organization_id, status, direction, agent_id, phone_number, cancellation_id, scheduled_at,
       room_name, metadata, created_at, updated_at, ended_at)
     SELECT id, $1, status, direction, "agentId", "phoneNumber", "cancellationId", "scheduledAt", id, '{}', "createdAt",
       "createdAt", "endedAt"
     FROM json_to_recordset($2) AS row (id text, status text, direction text, "agentId" text, "phoneNumber" text,
       "cancellationId" text, "scheduledAt" bigint, "createdAt" bigint, "endedAt" bigint)`,
    [organizationId, JSON.stringify(rows)],
  );
  return {
    store: {
      listCalls: (list) => listCalls(db, list),
      pruneCalls: (input) => pruneCalls(db, input),
    },
    organizationId,
    execute: async (sql) => void (await query(url, sql)),
  };
}

describe.skipIf(!hasPostgres())('with Postgres', () => {
  listConformance('Postgres', openFilledStore);

  test('a list after which nothing is committed is not counted again', async () => {
    const { store, organizationId } = await openFilledStore(makeCalls(10));
    const list = { organizationId, limit: 5, offset: 0, sortBy: 'createdAt', sortOrder: 'asc' } as const;
    const execute = vi.spyOn(pg.Client.prototype, 'query');
    onTestFinished(() => execute.mockRestore());
    const countsOfList = async () => {
      execute.mockClear();
      expect((await store.listCalls(list)).total).toBe(10);
      return execute.mock.calls.filter((call) => JSON.stringify(call).includes('count(*)')).length;
    };
    expect(await countsOfList()).toBe(1);
    // Other tests commit on the same server.
    await expect.poll(countsOfList).toBe(0);
  });
});
