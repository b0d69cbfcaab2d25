import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { is } from 'drizzle-orm';
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core';
import { describe, expect, test } from 'vitest';
import type { DatabaseAddress } from '../../src/platform/database-address.ts';
import { copyDatabase } from '../../src/store/copy/copy-database.ts';
import { copyRows } from '../../src/store/copy/copy-rows.ts';
import type { CopySource, CopyTarget } from '../../src/store/copy/endpoint.ts';
import { COPY_TABLES } from '../../src/store/copy/tables.ts';
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
  test('returns the same rows from SQLite to Postgres and back', async () => {
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

  /** Leaves a copy that was interrupted after its first row. */
  async function interrupt(source: CopySource, target: CopyTarget): Promise<void> {
    const interrupted = copyRows(source, target, {
      batchRows: 1,
      onProgress: () => {
        throw new Error('interrupted');
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
  });

  test('a file of another program, of an older hangup or in use is refused', async () => {
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
    client.exec('DELETE FROM __drizzle_migrations WHERE id = 12');
    client.close();
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(/older version of hangup/);
    await query(url, 'DELETE FROM __drizzle_migrations WHERE id > 1');
    await expect(copy(ofFile(sourceFile()), ofUrl(url))).rejects.toThrow(/older version of hangup/);
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

  test('a process with a valid heartbeat prevents a copy from and into Postgres', async () => {
    const [file, url] = [sourceFile(), await postgresDatabase()];
    const store = await openStore(ofUrl(url), { onMigrating: noMigration });
    await store.heartbeat({ memberId: 'proc_1', wanted: [], rateDivisor: null });
    const serves = /A running hangup serves postgres:.* Stop every hangup of this database/;
    await expect(copy(ofFile(file), ofUrl(url))).rejects.toThrow(serves);
    await expect(copy(ofUrl(url), ofFile(join(temporaryFolder(), 'back.db')))).rejects.toThrow(serves);
    await store.leaveFleet({ memberId: 'proc_1' });
    await store.close();
    await copy(ofFile(file), ofUrl(url));
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
