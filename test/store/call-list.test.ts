import { copyFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test, vi } from 'vitest';
import { isLive } from '../../src/domain/call-status.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { insertApiKey } from '../harness/calls.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { type FilledStore, listConformance, makeCalls, type StoredCall } from './list-conformance.ts';

async function openFilledStore(calls: readonly StoredCall[]): Promise<FilledStore> {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const { organizationId } = await insertApiKey(store);
  const client = new SqliteDatabase(file);
  // The cancellations of the calls are not on record.
  client.pragma('foreign_keys = OFF');
  const insert = client.prepare(`
    INSERT INTO calls (id, organization_id, status, direction, agent_id, phone_number, cancellation_id, scheduled_at, room_name, metadata,
      created_at, updated_at, ended_at)
    VALUES (@id, '${organizationId}', @status, @direction, @agentId, @phoneNumber, @cancellationId, @scheduledAt, @id, '{}', @createdAt,
      @createdAt, @endedAt)`);
  client.transaction(() => {
    for (const call of calls) insert.run({ ...call, endedAt: isLive(call.status) ? null : call.createdAt });
  })();
  onTestFinished(() => {
    client.close();
    store.close();
  });
  return { store, organizationId, execute: (sql) => void client.exec(sql) };
}

listConformance('SQLite', openFilledStore);

test('a list of the same shape prepares no statement', async () => {
  const { store, organizationId } = await openFilledStore(makeCalls(10));
  const list = (agentId: string, to: number) =>
    store.listCalls({
      organizationId,
      agentId,
      to,
      statuses: ['busy', 'active'],
      sortBy: 'scheduledAt',
      sortOrder: 'asc',
      limit: 5,
      offset: 0,
    });
  await list('a', 5);
  const prepare = vi.spyOn(SqliteDatabase.prototype, 'prepare');
  await list('b', 6);
  expect(prepare).not.toHaveBeenCalled();
  prepare.mockRestore();
});

test('a list never reads a file that replaced the database', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const list = { organizationId: 'o', sortBy: 'createdAt', sortOrder: 'asc', limit: 5, offset: 0 } as const;
  renameSync(file, `${file}.old`);
  copyFileSync(`${file}.old`, file);
  await expect(store.listCalls(list)).rejects.toThrow('was removed or replaced while hangup was running');
  renameSync(`${file}.old`, file);
  expect((await store.listCalls(list)).total).toBe(0);
  store.close();
  await expect(store.listCalls(list)).rejects.toThrow('not open');
});
