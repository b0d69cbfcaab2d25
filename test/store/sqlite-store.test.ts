import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, test } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { runHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { conformance } from './conformance.ts';

const ROOT = resolve(import.meta.dirname, '../..');

conformance('the store on a SQLite file', (clock) =>
  openSqliteStore(join(temporaryFolder(), 'hangup.db'), { clock }),
);

/** Returns a database of this version, opened without the store. */
function createDatabase() {
  const file = join(temporaryFolder(), 'hangup.db');
  openSqliteStore(file).close();
  return { file, client: new SqliteDatabase(file) };
}

test('every table is STRICT', () => {
  const { client } = createDatabase();
  const tables = client.pragma('table_list') as { name: string; schema: string; strict: number }[];
  const ours = tables.filter(({ schema, name }) => schema === 'main' && !name.startsWith('sqlite_'));
  expect(ours.length).toBeGreaterThan(6);
  expect(ours.filter(({ strict }) => strict !== 1).map(({ name }) => name)).toEqual([]);
});

test('the directory and the file are created for their owner only', () => {
  const folder = join(temporaryFolder(), 'a', 'b');
  openSqliteStore(join(folder, 'hangup.db')).close();
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, 'hangup.db')).mode & 0o777).toBe(0o600);
});

test('the migrations in drizzle/ match the schema', () => {
  const folder = temporaryFolder();
  cpSync(join(ROOT, 'drizzle'), join(folder, 'drizzle'), { recursive: true });
  mkdirSync(join(folder, 'src'));
  writeFileSync(
    join(folder, 'drizzle.config.json'),
    JSON.stringify({ dialect: 'sqlite', schema: join(ROOT, 'src/store/sqlite/schema.ts'), out: './drizzle' }),
  );
  const drizzleKit = join(ROOT, 'node_modules/drizzle-kit/bin.cjs');
  const output = execFileSync(process.execPath, [drizzleKit, 'generate', '--config=drizzle.config.json'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(output).toContain('No schema changes');
  expect(readdirSync(join(folder, 'drizzle'))).toEqual(readdirSync(join(ROOT, 'drizzle')));
});

test('processes that start at once on a new database all succeed', async () => {
  for (let round = 0; round < 3; round += 1) {
    const cwd = temporaryFolder();
    const file = join(cwd, 'hangup.db');
    const migrate = () => runHangup(['migrate'], { cwd, env: { DATABASE_URL: `file:${file}` } });
    const results = await Promise.all([migrate(), migrate(), migrate(), migrate()]);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const client = new SqliteDatabase(file);
    expect(client.prepare('SELECT count(*) FROM __drizzle_migrations').pluck().get()).toBe(
      readdirSync(join(ROOT, 'drizzle')).filter((name) => name.endsWith('.sql')).length,
    );
    client.close();
  }
});

test('opening a database of a newer version fails and changes nothing', () => {
  const { file, client } = createDatabase();
  client
    .prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)')
    .run('from the future', 1);
  client.close();
  copyFileSync(file, `${file}.before`);
  expect(() => openSqliteStore(file)).toThrow(/was created by a newer or different version/);
  expect(statSync(file).size).toBe(statSync(`${file}.before`).size);
});

test('opening a file that is not a database fails with a readable error', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  writeFileSync(file, 'this is a text file, and not a short one at all'.repeat(100));
  expect(() => openSqliteStore(file)).toThrow(/Cannot use the database .*not a database/);
});

test('opening a database in an impossible directory fails with a readable error', () => {
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  expect(() => openSqliteStore(join(file, 'hangup.db'))).toThrow(/Check that DATABASE_URL/);
});

test.each([
  ['an unknown status', { status: 'gone' }],
  ['a live call with an end', { status: 'active', ended_at: 5_000 }],
  ['an ended call without an end', { status: 'completed' }],
  ['an empty room name', { room_name: '' }],
  ['a live call with a canceller', { cancelled_by: 'key_1' }],
  ['metadata that is not an object', { metadata: '[]' }],
  ['text for a time', { created_at: 'now' }],
  ['an unknown organization', { organization_id: 'org_none' }],
  ['the room name of another live call', { room_name: 'taken' }],
])('a CHECK or index of the database refuses %s', async (_, change) => {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const key = await insertApiKey(store);
  const organizationId = key.organizationId;
  for (const [id, roomName] of [
    ['c1', 'c1'],
    ['c2', 'taken'],
  ] as const) {
    const call = buildCall({ id, organizationId, roomName });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
  }
  store.close();
  const client = new SqliteDatabase(file);
  client.pragma('foreign_keys = ON');
  const assignments = Object.keys(change).map((column) => `${column} = @${column}`);
  const update = client.prepare(`UPDATE calls SET ${assignments.join(', ')} WHERE id = 'c1'`);
  expect(() => update.run(change)).toThrow(/constraint|cannot store/i);
  client.close();
});
