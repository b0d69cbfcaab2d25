import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { errorMessage } from '../../domain/errors.ts';
import { COPY_TABLE, incompleteCopyError } from '../copy/copy-mark.ts';
import type { CopySource, CopyState, CopyTarget } from '../copy/endpoint.ts';
import { type CopyRow, type CopyTable, describeRow, keyColumns } from '../copy/tables.ts';
import {
  adviceForDatabaseError,
  assertDatabaseExists,
  closeDatabase,
  DatabaseError,
  hasTable,
  isBusy,
  type OnMigrate,
  openDatabase,
  openSqlite,
  readSchemaVersion,
} from './database.ts';

/** Opens a file to copy its rows. @throws DatabaseError, also when another process has the file open */
export function openCopySource(file: string): CopySource {
  assertDatabaseExists(file);
  const client = openAlone(file);
  if (hasTable(client, COPY_TABLE)) {
    client.close();
    throw incompleteCopyError(file);
  }
  return readsOf(client, file);
}

/**
 * Opens a file to copy rows into it, after creating the database if absent.
 * @throws DatabaseError, also when another process has the file open
 */
export function openCopyTarget(file: string, onMigrating: OnMigrate): CopyTarget {
  if (!existsSync(file) || (statSync(file).isFile() && isWithoutTables(file))) {
    closeDatabase(openDatabase(file, onMigrating));
  }
  const client = openAlone(file);
  client.pragma('foreign_keys = ON');
  // A power failure can undo the last batches, with their progress. The commit that completes the copy is durable.
  client.pragma('synchronous = NORMAL');
  client.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  // In KiB: most pages of the indexes change in each batch.
  client.pragma('cache_size = -65536');
  const saveState = (state: CopyState) =>
    client.prepare(`UPDATE ${COPY_TABLE} SET state = ?`).run(JSON.stringify(state));
  return {
    ...readsOf(client, file),
    async readState() {
      if (!hasTable(client, COPY_TABLE)) return null;
      const state = client.prepare<[], string>(`SELECT state FROM ${COPY_TABLE}`).pluck().get();
      return JSON.parse(state ?? 'null') as CopyState | null;
    },
    async begin(state) {
      const start = () => {
        client.exec(`CREATE TABLE ${COPY_TABLE} (state TEXT NOT NULL) STRICT`);
        client.prepare(`INSERT INTO ${COPY_TABLE} VALUES (?)`).run(JSON.stringify(state));
      };
      client.transaction(start).immediate();
    },
    async writeRows(table, rows, state) {
      const insert = client.prepare(
        `INSERT INTO ${table.name} (${listOf(table)}) VALUES (${table.columns.map(() => '?').join(', ')})`,
      );
      const write = () => {
        for (const row of rows) insertRow(insert, table, row);
        saveState(state);
      };
      client.transaction(write).immediate();
    },
    async complete({ position }) {
      const finish = () => {
        client.prepare("DELETE FROM sqlite_sequence WHERE name = 'audit_log'").run();
        client.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('audit_log', ?)").run(position);
        client.exec(`DROP TABLE ${COPY_TABLE}`);
      };
      client.pragma('synchronous = FULL');
      client.transaction(finish).immediate();
      client.pragma('wal_checkpoint(TRUNCATE)');
    },
  };
}

function insertRow(insert: SqliteDatabase.Statement, table: CopyTable, row: CopyRow): void {
  try {
    insert.run(...row);
  } catch (error) {
    if (!(error instanceof SqliteDatabase.SqliteError) || !error.code.startsWith('SQLITE_CONSTRAINT'))
      throw error;
    throw new DatabaseError(`SQLite cannot store ${describeRow(table, row)}: ${error.message}.`);
  }
}

function readsOf(client: SqliteDatabase.Database, file: string): CopySource {
  return {
    name: resolve(file),
    async lastPosition() {
      const sql = "SELECT seq FROM sqlite_sequence WHERE name = 'audit_log'";
      return client.prepare<[], number>(sql).pluck().get() ?? 0;
    },
    async countRows({ name }) {
      return client.prepare<[], number>(`SELECT count(*) FROM ${name}`).pluck().get() ?? 0;
    },
    async readRows(table, after, limit) {
      const key = keyColumns(table).join(', ');
      const bound = after === null ? '' : `WHERE (${key}) > (${after.map(() => '?').join(', ')})`;
      const sql = `SELECT ${listOf(table)} FROM ${table.name} ${bound} ORDER BY ${key} LIMIT ?`;
      return client
        .prepare<unknown[], CopyRow>(sql)
        .raw()
        .all(...(after ?? []), limit);
    },
    async close() {
      client.close();
    },
  };
}

/** Four times the checkpoints of a server, each of which writes pages at random places. */
const CHECKPOINT_PAGES = 12_000;

const listOf = ({ columns }: CopyTable) => columns.map(({ name }) => `"${name}"`).join(', ');

function isWithoutTables(file: string): boolean {
  const client = openSqlite(file, { readonly: true, fileMustExist: true });
  try {
    return client.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
  } catch {
    // Not a database: the next opening reports the cause.
    return false;
  } finally {
    client.close();
  }
}

/**
 * Opens a file with this version's schema for this process alone. Each process holds a lock on its open database, so an
 * exclusive lock proves that no other process has the database open.
 */
function openAlone(file: string): SqliteDatabase.Database {
  let client: SqliteDatabase.Database | undefined;
  try {
    client = openSqlite(file, { fileMustExist: true, timeout: 0 });
    client.pragma('locking_mode = EXCLUSIVE');
    client.exec('BEGIN EXCLUSIVE; COMMIT');
    assertCurrent(client, file);
    return client;
  } catch (error) {
    client?.close();
    if (error instanceof DatabaseError) throw error;
    if (isBusy(error)) {
      throw new DatabaseError(
        `${file} is in use by a running hangup or another program. Stop hangup, then start the copy again.`,
      );
    }
    throw new DatabaseError(`Cannot use ${file}: ${errorMessage(error)}. ${adviceForDatabaseError(error)}`);
  }
}

function assertCurrent(client: SqliteDatabase.Database, file: string): void {
  const version = readSchemaVersion(client);
  if (version === 'current') return;
  if (version === 'uninitialized') throw new DatabaseError(`${file} was not created by hangup.`);
  throw new DatabaseError(
    version === 'behind'
      ? `${file} belongs to an older version of hangup. Back up the database, then run \`hangup migrate\` with it as DATABASE_URL.`
      : `${file} belongs to a newer version of hangup. Use that version.`,
  );
}
