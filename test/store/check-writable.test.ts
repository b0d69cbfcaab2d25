import { statSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, test } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { temporaryFolder } from '../harness/temporary.ts';

function openTestStore() {
  const file = join(temporaryFolder(), 'hangup.db');
  return { file, store: openSqliteStore(file) };
}

test('checkWritable commits a write to the disk', async () => {
  const { file, store } = openTestStore();
  const sizes: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    await store.checkWritable();
    sizes.push(statSync(`${file}-wal`).size);
  }
  store.close();
  const [first = 0, second = 0, third = 0] = sizes;
  expect(second).toBeGreaterThan(first);
  expect(third - second).toBe(second - first);
});

test('checkWritable rejects while the database accepts no write', async () => {
  const { file, store } = openTestStore();
  const another = new SqliteDatabase(file);
  another.exec('BEGIN IMMEDIATE');
  await expect(store.checkWritable()).rejects.toThrow(/locked/);
  another.exec('ROLLBACK');
  expect(await store.checkWritable()).toEqual({ isSchemaCurrent: true });
  another.close();
  store.close();
});

test('checkWritable reports a schema that another version changed', async () => {
  const { file, store } = openTestStore();
  const newer = new SqliteDatabase(file);
  newer.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('of tomorrow', 1)");
  expect(await store.checkWritable()).toEqual({ isSchemaCurrent: false });
  newer.exec("DELETE FROM __drizzle_migrations WHERE hash = 'of tomorrow'");
  newer.exec('DELETE FROM __drizzle_migrations WHERE id = (SELECT max(id) FROM __drizzle_migrations)');
  expect(await store.checkWritable()).toEqual({ isSchemaCurrent: false });
  newer.close();
  store.close();
});
