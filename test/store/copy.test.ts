import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { is } from 'drizzle-orm';
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DatabaseAddress } from '../../src/platform/database-address.ts';
import { copyDatabase } from '../../src/store/copy/copy-database.ts';
import { copyRows } from '../../src/store/copy/copy-rows.ts';
import type { CopySource, CopyTarget } from '../../src/store/copy/endpoint.ts';
import { COPY_TABLES, type CopyTable, keyColumns } from '../../src/store/copy/tables.ts';
import { openStore } from '../../src/store/open-store.ts';
import * as postgres from '../../src/store/postgres/copy-endpoint.ts';
import * as pgSchema from '../../src/store/postgres/schema.ts';
import * as sqlite from '../../src/store/sqlite/copy-endpoint.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const FIXTURE = resolve(import.meta.dirname, 'fixtures/0011_fleet.sql');
const NOT_COPIED = ['__drizzle_migrations', 'fleet_members'];
/** Triggers write these rows from the calls, in Postgres in full hours. */
const DERIVED = 'scheduled_days';

const noMigration = () => {};
const onProgress = () => {};

/** Returns a database with rows in every table, of which some are hard to copy exactly. */
function sourceFile(): string {
  const file = join(temporaryFolder(), 'source.db');
  change(file, readFileSync(FIXTURE, 'utf8'));
  openSqliteStore(file).close();
  change(
    file,
    `UPDATE calls SET metadata = '{ "b":1.50,  "a":"\\u0000\\ud800", "a":2, "1":{} }' WHERE id = 'lives';
     UPDATE calls SET contact_name = '{"é",NULL,\\\\} 😀 ''"', agent_name = '', cancellation_id = 'can_1' WHERE id = 'cancelled';
     UPDATE calls SET scheduled_at = -86400001, roster = NULL WHERE id = 'lives';
     INSERT INTO idempotency_keys VALUES ('org_1', 'Once', 'f', 1, '{}'), ('org_1', 'é', 'f', 9007199254740991, 'null');
     INSERT INTO livekit_events VALUES ('b', 1), ('B', 1), ('ß', 1), ('', 1), ('Ω', -1), ('😀', 2), ('\uffff', 2);
     UPDATE sqlite_sequence SET seq = 1000000007 WHERE name = 'audit_log'`,
  );
  return file;
}

function change(file: string, sql: string): void {
  const client = new SqliteDatabase(file);
  client.pragma('foreign_keys = OFF');
  client.exec(sql);
  client.close();
}

/** Returns the schema and the rows of all copied tables, and the position of the audit log. */
function contentsOf(file: string) {
  const client = new SqliteDatabase(file, { readonly: true });
  const read = (sql: string) => client.prepare<[], Record<string, unknown>>(sql).all();
  const tables = read("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name");
  const rows = tables
    .filter(({ name }) => !NOT_COPIED.includes(String(name)))
    .map(({ name }) => ({ name, rows: read(`SELECT * FROM "${name}" ORDER BY 1, 2`) }));
  const violations = client.pragma('foreign_key_check');
  client.close();
  return { tables: tables.map(({ name }) => name), rows, violations };
}

const ofFile = (file: string): DatabaseAddress => ({ kind: 'sqlite', file });
const ofUrl = (url: string): DatabaseAddress => ({ kind: 'postgres', url });
const copy = (from: DatabaseAddress, to: DatabaseAddress) =>
  copyDatabase({ from, to }, { onMigrating: noMigration, onProgress });

/** Copies one row at a time, each by a new process that is interrupted after the row. Returns the number of interruptions. */
async function copyInterrupted(
  openSource: () => Promise<CopySource>,
  openTarget: () => Promise<CopyTarget>,
): Promise<number> {
  for (let interruptions = 0; ; interruptions += 1) {
    const source = await openSource();
    const target = await openTarget();
    let rows = 0;
    try {
      await copyRows(source, target, {
        batchRows: 1,
        onProgress: ({ isVerifying }) => {
          rows += 1;
          // The verification of the last table comes after all rows.
          if (!isVerifying || interruptions % 2 === 0) throw new Error('interrupted');
        },
      });
      return interruptions;
    } catch (error) {
      if (!(error instanceof Error) || error.message !== 'interrupted') throw error;
      expect(rows).toBe(1);
    } finally {
      await target.close();
      await source.close();
    }
  }
}

test('the copied tables are all tables and columns of both schemas, except the listed ones', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  openSqliteStore(file).close();
  const client = new SqliteDatabase(file, { readonly: true });
  const names = client
    .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .pluck()
    .all();
  const copied = COPY_TABLES.map(({ name }) => name);
  expect([...copied, ...NOT_COPIED, DERIVED, 'sqlite_sequence'].toSorted()).toEqual(names);
  for (const { name, columns, key } of COPY_TABLES) {
    // Without generated columns.
    const info = client.pragma(`table_info(${name})`) as { name: string; pk: number }[];
    const namesOf = (list: readonly { name: string }[]) => new Set(list.map((column) => column.name));
    expect(namesOf(columns), name).toEqual(namesOf(info));
    const inKey = info.filter(({ pk }) => pk > 0).toSorted((a, b) => a.pk - b.pk);
    expect(key.map((position) => columns[position]?.name)).toEqual(inKey.map((column) => column.name));
  }
  client.close();
  const inPostgres = Object.values<unknown>(pgSchema).flatMap((table) =>
    is(table, PgTable) ? [getTableConfig(table).name] : [],
  );
  expect([...copied, DERIVED, 'fleet_members', 'audit_position', 'rate_limits'].toSorted()).toEqual(
    inPostgres.toSorted(),
  );
});

describe.skipIf(!hasPostgres())('a copy between SQLite and Postgres', () => {
  test('returns the same rows from SQLite to Postgres and back, into a new or empty file', async () => {
    const [file, url, back] = [
      sourceFile(),
      await postgresDatabase({ isMigrated: false }),
      join(temporaryFolder(), 'new/back.db'),
    ];
    const before = contentsOf(file);
    expect(before.violations).toEqual([]);
    const there = await copy(ofFile(file), ofUrl(url));
    const andBack = await copy(ofUrl(url), ofFile(back));
    expect(andBack).toEqual(there);
    expect(there.filter(({ rows }) => rows === 0)).toEqual([]);
    expect(contentsOf(back)).toEqual(before);
    expect(contentsOf(file)).toEqual(before);
    const empty = join(temporaryFolder(), 'empty.db');
    writeFileSync(empty, '');
    expect(await copy(ofUrl(url), ofFile(empty))).toEqual(there);
    expect(contentsOf(empty)).toEqual(before);
    expect(await query(url, 'SELECT last FROM audit_position')).toEqual([{ last: '1000000007' }]);
    expect(await query(url, 'SELECT day FROM scheduled_days ORDER BY day')).toEqual([
      { day: -2 },
      { day: 1 },
    ]);
  });

  test('continues after an interruption at each row, in both directions', async () => {
    const [file, url, back] = [sourceFile(), await postgresDatabase(), join(temporaryFolder(), 'back.db')];
    const there = await copyInterrupted(
      async () => sqlite.openCopySource(file),
      () => postgres.openCopyTarget(url, noMigration),
    );
    expect(there).toBeGreaterThan(25);
    const andBack = await copyInterrupted(
      () => postgres.openCopySource(url),
      async () => sqlite.openCopyTarget(back, noMigration),
    );
    expect(andBack).toBe(there);
    expect(contentsOf(back)).toEqual(contentsOf(file));
  });

  test('copies each row once when Postgres stores the rows in another order', async () => {
    const [file, url, back] = [sourceFile(), await postgresDatabase(), join(temporaryFolder(), 'back.db')];
    await copy(ofFile(file), ofUrl(url));
    for (const table of COPY_TABLES) {
      const [column = ''] = keyColumns(table);
      // An update stores the changed row after all others.
      const first = `(SELECT min(${column}) FROM ${table.name})`;
      await query(url, `UPDATE ${table.name} SET ${column} = ${column} WHERE ${column} = ${first}`);
    }
    const source = await postgres.openCopySource(url);
    const target = sqlite.openCopyTarget(back, noMigration);
    await copyRows(source, target, { batchRows: 1, onProgress });
    await target.close();
    await source.close();
    expect(contentsOf(back)).toEqual(contentsOf(file));
  });

  /** Leaves a copy that was interrupted after its first row, or after all rows. */
  async function interrupt(
    source: CopySource,
    target: CopyTarget,
    { whenVerifying = false } = {},
  ): Promise<void> {
    const interrupted = copyRows(source, target, {
      batchRows: 1,
      onProgress: ({ isVerifying }) => {
        if (isVerifying || !whenVerifying) throw new Error('interrupted');
      },
    });
    await expect(interrupted).rejects.toThrow('interrupted');
    await target.close();
    await source.close();
  }

  test('no store opens an incomplete copy, no copy reads it, and no copy of another database continues it', async () => {
    const [file, url, back] = [sourceFile(), await postgresDatabase(), join(temporaryFolder(), 'back.db')];
    await interrupt(sqlite.openCopySource(file), await postgres.openCopyTarget(url, noMigration));
    const name = `postgres://${new URL(url).host}${new URL(url).pathname}`;
    const incomplete = `${name} is an incomplete copy of another database. Start the same \`hangup copy\` again`;
    await expect(openStore(ofUrl(url), { onMigrating: noMigration })).rejects.toThrow(incomplete);
    await expect(copy(ofUrl(url), ofFile(back))).rejects.toThrow(incomplete);
    await expect(copy(ofFile(sourceFile()), ofUrl(url))).rejects.toThrow(
      `${name} is an incomplete copy of ${file}. Continue that copy, or copy into a new database.`,
    );
    change(
      file,
      "INSERT INTO audit_log SELECT 1000000008, 1, 'org_1', 'x', 'operator', NULL, 's', NULL, NULL, NULL, NULL, NULL",
    );
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(
      `${file} has changed since the copy began. Remove ${name}, and start the copy again.`,
    );
  });

  test('an incomplete copy in a file is refused in the same way', async () => {
    const [file, url, back] = [sourceFile(), await postgresDatabase(), join(temporaryFolder(), 'back.db')];
    await copy(ofFile(file), ofUrl(url));
    await interrupt(await postgres.openCopySource(url), sqlite.openCopyTarget(back, noMigration));
    const incomplete = `${back} is an incomplete copy of another database.`;
    expect(() => openSqliteStore(back)).toThrow(incomplete);
    await expect(copy(ofFile(back), ofUrl(await postgresDatabase()))).rejects.toThrow(incomplete);
    await copy(ofUrl(url), ofFile(back));
    openSqliteStore(back).close();
    expect(contentsOf(back)).toEqual(contentsOf(file));
  });

  test('a row that changed after its copy fails the verification, and the target stays incomplete', async () => {
    const [file, url] = [sourceFile(), await postgresDatabase()];
    await interrupt(sqlite.openCopySource(file), await postgres.openCopyTarget(url, noMigration));
    change(file, "UPDATE organizations SET name = 'other'");
    const failed = copy(ofFile(file), ofUrl(url));
    await expect(failed).rejects.toThrow(/The copy differs in the table organizations: .* has 1 rows with/);
    await expect(openStore(ofUrl(url), { onMigrating: noMigration })).rejects.toThrow('incomplete copy');
  });

  test('a row that changed in any table of the target fails the verification', async () => {
    const [file, url, back] = [sourceFile(), await postgresDatabase(), join(temporaryFolder(), 'back.db')];
    await copy(ofFile(file), ofUrl(url));
    await interrupt(await postgres.openCopySource(url), sqlite.openCopyTarget(back, noMigration), {
      whenVerifying: true,
    });
    // The verification reports the first table that differs.
    for (const table of COPY_TABLES.toReversed()) {
      const [column] = keyColumns(table);
      const last = `(SELECT max(${column}) FROM ${table.name})`;
      change(back, `UPDATE ${table.name} SET ${column} = ${column} || '0' WHERE ${column} = ${last}`);
      await expect(copy(ofUrl(url), ofFile(back))).rejects.toThrow(
        `The copy differs in the table ${table.name}:`,
      );
    }
  });

  test('a batch and its progress are in the target together or not at all, so that the copy can continue', async () => {
    const [file, url, back] = [sourceFile(), await postgresDatabase(), join(temporaryFolder(), 'back.db')];
    await interrupt(sqlite.openCopySource(file), await postgres.openCopyTarget(url, noMigration));
    await query(
      url,
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
       CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON api_keys DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION refuse()`,
    );
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow('the outcome of a commit is unknown');
    expect(await query(url, 'SELECT count(*)::int AS keys FROM api_keys')).toEqual([{ keys: 0 }]);
    await query(url, 'DROP FUNCTION refuse CASCADE');
    await copy(ofFile(file), ofUrl(url));

    await interrupt(await postgres.openCopySource(url), sqlite.openCopyTarget(back, noMigration));
    change(
      back,
      "CREATE TRIGGER refuse BEFORE UPDATE ON __hangup_copy BEGIN SELECT RAISE(ABORT, 'refused'); END",
    );
    await expect(copy(ofUrl(url), ofFile(back))).rejects.toThrow('refused');
    change(back, 'DROP TRIGGER refuse');
    await copy(ofUrl(url), ofFile(back));
    expect(contentsOf(back)).toEqual(contentsOf(file));
  });

  test('a target with other data is refused and unchanged', async () => {
    const [file, url] = [sourceFile(), await postgresDatabase()];
    await query(url, "INSERT INTO organizations VALUES ('org_2', 'other', 1)");
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(
      /has data of its own in the table organizations. Copy into a new database. Nothing was changed.$/,
    );
    await query(url, 'DELETE FROM organizations');
    await query(url, 'UPDATE audit_position SET last = 7');
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(/its audit log does not begin at 1/);
    await query(url, 'UPDATE audit_position SET last = 0');
    await copy(ofFile(file), ofUrl(url));
    const other = sourceFile();
    const before = contentsOf(other);
    await expect(copy(ofUrl(url), ofFile(other))).rejects.toThrow(/has data of its own in the table/);
    expect(contentsOf(other)).toEqual(before);
    for (const { name } of COPY_TABLES) {
      await expect(copy(ofUrl(url), ofFile(other))).rejects.toThrow(
        `has data of its own in the table ${name}.`,
      );
      change(other, `DELETE FROM ${name}`);
    }
  });

  test('a database of another program, of an older or newer hangup, or in use is refused', async () => {
    const url = await postgresDatabase();
    const foreign = join(temporaryFolder(), 'foreign.db');
    change(foreign, 'CREATE TABLE x (y)');
    await expect(copy(ofUrl(url), ofFile(foreign))).rejects.toThrow(`${foreign} was not created by hangup.`);
    await expect(copy(ofFile(foreign), ofUrl(url))).rejects.toThrow(`${foreign} was not created by hangup.`);
    const file = sourceFile();
    const client = new SqliteDatabase(file);
    client.prepare('SELECT 1 FROM calls').get();
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(
      `${file} is in use by a running hangup or another program.`,
    );
    client.exec('DELETE FROM __drizzle_migrations WHERE id = (SELECT max(id) FROM __drizzle_migrations)');
    client.close();
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(/older version of hangup/);
    await query(url, 'DELETE FROM __drizzle_migrations WHERE id > 1');
    await expect(copy(ofFile(sourceFile()), ofUrl(url))).rejects.toThrow(/older version of hangup/);
    const [newer, newerUrl] = [sourceFile(), await postgresDatabase()];
    const migrate = "INSERT INTO __drizzle_migrations (id, hash, created_at) VALUES (99, 'newer', 1)";
    await query(newerUrl, migrate);
    await expect(copy(ofFile(newer), ofUrl(newerUrl))).rejects.toThrow(
      new RegExp(`^postgres:.*${new URL(newerUrl).pathname} belongs to a newer version of hangup.`),
    );
    change(newer, migrate);
    await expect(copy(ofFile(newer), ofUrl(newerUrl))).rejects.toThrow(
      `${newer} belongs to a newer version of hangup.`,
    );
  });

  test('a text with a NUL character fails with the table and the id', async () => {
    const [file, url] = [sourceFile(), await postgresDatabase()];
    change(file, "UPDATE calls SET agent_name = 'a' || char(0) WHERE id = 'given-up'");
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(
      'Postgres cannot store the row ["given-up"] of the table calls: agent_name contains a NUL character.',
    );
    change(file, "UPDATE calls SET agent_name = 'a' WHERE id = 'given-up'");
    await copy(ofFile(file), ofUrl(url));
  });

  test('a row that Postgres refuses fails with the table and the id', async () => {
    const [file, url] = [sourceFile(), await postgresDatabase()];
    // JSON5, which json_type() of SQLite accepts.
    change(file, "UPDATE calls SET metadata = '{a:1}' WHERE id = 'over'");
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(
      'Postgres cannot store the row ["over"] of the table calls: invalid input syntax for type json.',
    );
  });

  test('a row that SQLite refuses fails with the table and the id', async () => {
    const [file, url, back] = [sourceFile(), await postgresDatabase(), join(temporaryFolder(), 'back.db')];
    await copy(ofFile(file), ofUrl(url));
    await query(url, 'ALTER TABLE calls DROP CONSTRAINT calls_direction');
    await query(url, "UPDATE calls SET direction = 'sideways' WHERE id = 'over'");
    await expect(copy(ofUrl(url), ofFile(back))).rejects.toThrow(
      'SQLite cannot store the row ["over"] of the table calls: CHECK constraint failed: calls_direction.',
    );
  });

  test('a process with a valid heartbeat prevents a copy from and into Postgres', async () => {
    const [file, url] = [sourceFile(), await postgresDatabase()];
    const store = await openStore(ofUrl(url), { onMigrating: noMigration });
    await store.heartbeat({ memberId: 'proc_1', wanted: [], rateDivisor: null });
    const serves = /A running hangup serves postgres:.* Stop every hangup of this database/;
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(serves);
    await expect(copy(ofUrl(url), ofFile(join(temporaryFolder(), 'back.db')))).rejects.toThrow(serves);
    await store.leaveFleet({ memberId: 'proc_1' });
    await store.close();
    await query(url, "INSERT INTO fleet_members (id, expires_at) VALUES ('crashed', 1)");
    await copy(ofFile(file), ofUrl(url));
  });

  test('a process that joins the fleet while a copy waits for the lock prevents the copy', async () => {
    const url = await postgresDatabase();
    const joining = new pg.Client(url);
    await joining.connect();
    onTestFinished(() => joining.end());
    const commitWhenAwaited = `
      DO $$ BEGIN
        WHILE NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'fleet_members'::regclass AND NOT granted) LOOP
          PERFORM pg_sleep(0.01);
        END LOOP;
      END $$; COMMIT`;
    for (const open of [
      () => postgres.openCopyTarget(url, noMigration),
      () => postgres.openCopySource(url),
    ]) {
      await joining.query(
        "BEGIN; INSERT INTO fleet_members (id, expires_at) VALUES ('new', 9007199254740991)",
      );
      const committed = joining.query(commitWhenAwaited);
      await expect(open()).rejects.toThrow('A running hangup serves postgres:');
      await committed;
      await joining.query('DELETE FROM fleet_members');
    }
  });

  test('no timeout ends the idle transaction that holds the lock of a long copy', async () => {
    const url = await postgresDatabase();
    const columns = ['name', 'setting'].map((name) => ({ name, type: 'text' }));
    const settings: CopyTable = { name: 'pg_settings', columns, key: [0] };
    for (const open of [
      () => postgres.openCopyTarget(url, noMigration),
      () => postgres.openCopySource(url),
    ]) {
      const opened = await open();
      const found = await opened.readRows(settings, null, 1_000);
      await opened.close();
      expect(found).toContainEqual(['idle_in_transaction_session_timeout', '0']);
    }
  });

  test('nothing writes into a database that is copied, and a second copy is refused', async () => {
    const [file, url] = [sourceFile(), await postgresDatabase()];
    const target = await postgres.openCopyTarget(url, noMigration);
    await expect(postgres.openCopyTarget(url, noMigration)).rejects.toThrow(/in use by another program/);
    await target.close();
    await copy(ofFile(file), ofUrl(url));
    const source = await postgres.openCopySource(url);
    const write = query(url, "SET lock_timeout = 100; UPDATE calls SET agent_id = 'a'");
    await expect(write).rejects.toThrow(/lock timeout/);
    await source.close();
    const opened = sqlite.openCopySource(file);
    const other = new SqliteDatabase(file, { timeout: 0 });
    expect(() => other.prepare('SELECT 1 FROM calls').get()).toThrow(/is locked/);
    other.close();
    await opened.close();
  });
});
