import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, test } from 'vitest';
import { openSqliteStore } from '../src/store/sqlite-store.ts';
import { runHangup, serveHangup } from './harness/process.ts';
import { temporaryFolder } from './harness/temporary.ts';

const MIGRATIONS = resolve(import.meta.dirname, '../drizzle');
/** For each schema there was, a dump of a database with something in every table. */
const FIXTURES = resolve(import.meta.dirname, 'store/fixtures');

const schemas = sqlNamesIn(FIXTURES);
const [newest = '', ...older] = schemas.toReversed();

function sqlNamesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .toSorted();
}

/** A database as a hangup of that schema left it. */
function aDatabase(fixture: string) {
  const cwd = temporaryFolder();
  const file = join(cwd, 'hangup.db');
  change(file, readFileSync(join(FIXTURES, fixture), 'utf8'));
  const run = (args: string) =>
    runHangup(args.split(' '), { cwd, env: { DATABASE_URL: 'file:hangup.db', PORT: '0' } });
  return { cwd, file, run };
}

function change(file: string, sql: string): void {
  const client = new SqliteDatabase(file);
  // A dump's tables are in no order.
  client.pragma('foreign_keys = OFF');
  client.exec(sql);
  client.close();
}

/** Schema and rows. */
function contentsOf(file: string) {
  const client = new SqliteDatabase(file, { readonly: true });
  const read = (sql: string) => client.prepare<[], Record<string, unknown>>(sql).all();
  const schema = read("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name");
  const tables = read("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
  const rows = tables.map(({ name }) => ({
    name,
    rows: read(`SELECT * FROM "${String(name)}" ORDER BY 1, 2`),
  }));
  const violations = client.pragma('foreign_key_check');
  client.close();
  return { schema, rows, violations };
}

test('of every schema there is a database', () => {
  expect(schemas).toEqual(sqlNamesIn(MIGRATIONS));
});

test.each(schemas)('%s is brought up to date, and nothing in it is lost', async (fixture) => {
  const { file, run } = aDatabase(fixture);
  const before = contentsOf(file);
  expect(await run('migrate --check')).toMatchObject({ code: fixture === newest ? 0 : 1 });
  expect(contentsOf(file)).toEqual(before);
  const lacks = schemas.slice(schemas.indexOf(fixture) + 1).map((name) => name.replace('.sql', ''));
  const said = lacks.length === 0 ? '' : `hangup: bringing hangup.db up to date: ${lacks.join(', ')}\n`;
  expect(await run('migrate')).toMatchObject({ code: 0, stderr: said });
  expect(await run('migrate --check')).toMatchObject({ code: 0 });

  const after = contentsOf(file);
  expect(after.schema).toEqual(contentsOf(aDatabase(newest).file).schema);
  expect(after.violations).toEqual([]);
  for (const { name, rows } of before.rows.filter(({ name }) => name !== '__drizzle_migrations')) {
    const now = after.rows.find((table) => table.name === name)?.rows;
    expect(now, String(name)).toEqual(rows.map((row) => expect.objectContaining(row)));
  }

  const store = openSqliteStore(file);
  expect((await store.findCall('lives'))?.call).toMatchObject({ status: 'active', metadata: { ticket: 7 } });
  expect(await store.findCall('cancelled')).toMatchObject({
    call: { status: 'cancelled', cancelledBy: 'key_1', cancelReason: "it's wrong" },
    deletion: { state: 'retryable', attempt: 3 },
  });
  const due = await store.claimDeletions({ now: 10_000, leaseUntil: 20_000, farthest: 70_000, limit: 10 });
  expect(due.map(({ callId }) => callId)).toEqual(['cancelled']);
  store.close();
});

test.each(older)('a migration that fails leaves %s as it was', async (fixture) => {
  const { file, run } = aDatabase(fixture);
  // All migrations between are done when the last one that makes something finds that it is there.
  const { what, is, isNot } = lastThingMade(schemas.slice(schemas.indexOf(fixture) + 1));
  change(file, is);
  const before = contentsOf(file);
  expect(await run('migrate')).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(new RegExp(`\\nhangup: Cannot use the database hangup.db: .*${what}.*\n$`)),
  });
  expect(contentsOf(file)).toEqual(before);

  change(file, isNot);
  expect(await run('migrate')).toMatchObject({ code: 0 });
});

/** The newest table or index, or else column, that these migrations make; and how to have it, and not, before them. */
function lastThingMade(migrations: readonly string[]) {
  const sql = migrations.toReversed().map((name) => readFileSync(join(MIGRATIONS, name), 'utf8'));
  const find = (pattern: RegExp) => sql.map((text) => pattern.exec(text)).find((found) => found !== null);
  const made = find(/CREATE (?:UNIQUE )?(INDEX|TABLE) `(\w+)`/)?.[2];
  if (made !== undefined)
    return { what: made, is: `CREATE INDEX ${made} ON calls (created_at)`, isNot: `DROP INDEX ${made}` };
  const [, table = '', column = ''] = find(/ALTER TABLE `(\w+)` ADD `(\w+)`/) ?? [];
  const alter = `ALTER TABLE ${table}`;
  return { what: column, is: `${alter} ADD ${column} integer`, isNot: `${alter} DROP COLUMN ${column}` };
}

test.each(schemas)("with people's calls in it, %s refuses the emulator", async (fixture) => {
  const { file, run } = aDatabase(fixture);
  const refused = {
    code: 2,
    stderr: expect.stringMatching(/LIVEKIT_URL: expected, for hangup\.db has the calls of /),
  };
  expect(await run('serve')).toMatchObject(refused);
  const store = openSqliteStore(file);
  expect((await store.findCall('lives'))?.call.status).toBe('active');
  store.close();
});

test('a server says that it brings its database up to date, and with what', async () => {
  const [previous = ''] = older;
  const { cwd, file } = aDatabase(previous);
  // Nobody's but the demonstration's, so that it is served without a LiveKit.
  change(file, "UPDATE organizations SET name = 'demo'; DELETE FROM livekit_servers");
  const hangup = await serveHangup({ cwd, env: { DATABASE_URL: 'file:hangup.db' } });
  expect(hangup.output()).toContain(`"migrations":["${newest.replace('.sql', '')}"]`);
});

test('a command that only reads does not bring it up to date: an older server may work on it', async () => {
  const [previous = ''] = older;
  const { file, run } = aDatabase(previous);
  const before = contentsOf(file);
  for (const command of ['keys list', 'adopt list', 'deletions list', 'prune --dry-run']) {
    expect(await run(command)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /is of an older hangup, and lacks \S+; `hangup migrate` brings it up to date/,
      ),
    });
  }
  expect(contentsOf(file)).toEqual(before);
});

test('a newer database is refused in one sentence, and not changed', async () => {
  const { file, run } = aDatabase(newest);
  change(file, "INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('of tomorrow', 1)");
  const before = contentsOf(file);
  for (const command of ['serve', 'migrate', 'keys list']) {
    expect(await run(command)).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(
        /^hangup: The database hangup\.db was made by a newer .* Start that version, or restore .*\n$/,
      ),
    });
  }
  expect(contentsOf(file)).toEqual(before);
});
