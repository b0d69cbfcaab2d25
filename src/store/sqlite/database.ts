import { chmodSync, chownSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { errorCode, errorMessage, StoreBusyError } from '../../domain/errors.ts';
import { MIGRATIONS_FOLDER, NO_PROC, sqliteAddon } from '../../platform/assets.ts';
import type { SchemaVersion } from '../../ports/diagnostics.ts';
import { COPY_TABLE, incompleteCopyError } from '../copy/copy-mark.ts';
import { DatabaseError, type OnMigrate } from '../database-error.ts';
import { migrationNames } from '../migration-names.ts';

export type Database = BetterSQLite3Database & { readonly $client: SqliteDatabase.Database };

export { DatabaseError, type OnMigrate };

/** A command waits this long for another process's write, with a blocked event loop. A server never waits like this. */
export const BUSY_TIMEOUT_MS = 2_000;
const OPEN_TIMEOUT_MS = 30_000;
/** A long reader lets the -wal grow. Afterwards SQLite truncates the -wal to this size. */
const WAL_LIMIT_BYTES = 16 * 1024 * 1024;
/**
 * A commit copies the -wal into the file once the -wal has this many pages, a multiple of SQLite's default: commits share
 * pages, which are copied once. Within {@link WAL_LIMIT_BYTES}, with room for a large commit.
 */
export const CHECKPOINT_PAGES = 3_000;

/**
 * Opens a database, after creating the file and its directory if absent, migrating the schema and checking that writes
 * are durable.
 * @throws DatabaseError
 */
export function openDatabase(file: string, onMigrating: OnMigrate): Database {
  let client: SqliteDatabase.Database;
  try {
    const isNew = !existsSync(file);
    if (!isNew && !statSync(file).isFile()) throw new Error('it is not a file');
    makeDirectory(dirname(file));
    client = openSqlite(file, { timeout: OPEN_TIMEOUT_MS });
    if (isNew) {
      // The file contains phone numbers. SQLite gives its -wal and -shm the mode and the owner of the file.
      chmodSync(file, 0o600);
      chownLike(dirname(file), file);
    }
  } catch (error) {
    throw new DatabaseError(
      `Cannot open the database ${file}: ${errorMessage(error)}. ${adviceForDatabaseError(error)}`,
    );
  }
  try {
    switchToWal(client);
    applyPragmas(client);
    migrate(client, file, onMigrating);
    if (hasTable(client, COPY_TABLE)) throw incompleteCopyError(file);
    client.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    return drizzle(client);
  } catch (error) {
    client.close();
    if (error instanceof DatabaseError) throw error;
    throw new DatabaseError(
      `Cannot use the database ${file}: ${errorMessage(error)}. ${adviceForDatabaseError(error)}`,
    );
  }
}

/** Creates a directory and its parents. Node's option `recursive` never ends where mkdir fails with ENOENT, as in /proc. */
function makeDirectory(folder: string): void {
  if (existsSync(folder)) {
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is not a directory`);
    return;
  }
  makeDirectory(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have created the directory.
    if (!existsSync(folder)) throw error;
  }
}

/**
 * Sets the pragmas that each connection needs, and asserts them.
 * @throws DatabaseError
 */
function applyPragmas(client: SqliteDatabase.Database): void {
  client.pragma('foreign_keys = ON');
  // In KiB: SQLite's default. The default of this build is 16 MB for each connection, which the kernel caches too.
  client.pragma('cache_size = -2000');
  client.pragma(`journal_size_limit = ${WAL_LIMIT_BYTES}`);
  client.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  // The default of this build in WAL mode is NORMAL, which loses acknowledged commits in a power failure.
  client.pragma('synchronous = FULL');
  assertPragma(client, 'journal_mode', 'wal');
  assertPragma(client, 'synchronous', 2);
  assertPragma(client, 'foreign_keys', 1);
}

/**
 * Returns a second connection to a database that {@link openDatabase} opened. A statement fails at once with SQLITE_BUSY
 * while another process holds the lock.
 */
export function openWriter(file: string): Database {
  const client = openSqlite(file, { fileMustExist: true, timeout: 0 });
  applyPragmas(client);
  // A savepoint copies the pages that it changes, otherwise into a temporary file: 20 system calls for each write.
  client.pragma('temp_store = MEMORY');
  return drizzle(client);
}

/** Makes a connection read-only. Its statements never wait for a lock. */
export function makeReadOnly({ $client: client }: Database): void {
  client.pragma('query_only = ON');
  client.pragma('busy_timeout = 0');
}

/**
 * Returns a function that opens a read-only connection to the database of an open connection, with the same busy timeout.
 * The function throws after that connection was closed, or after the file was removed or replaced.
 */
export function openReader({ $client: opened }: Database): () => SqliteDatabase.Database {
  const file = opened.name;
  const isSameFile = watchInode(file);
  return () => {
    const timeout = Number(opened.pragma('busy_timeout', { simple: true }));
    const client = openSqlite(file, { readonly: true, fileMustExist: true, timeout });
    try {
      if (!isSameFile()) throw replacedError(file);
      applyPragmas(client);
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  };
}

/** Gives a file the owner of `model`, if root creates the file: hangup runs as that owner. */
export function chownLike(model: string, file: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(model);
  chownSync(file, uid, gid);
}

/** Asserts that the file exists and its directory is readable. @throws DatabaseError */
export function assertDatabaseExists(file: string): void {
  try {
    if (statSync(file).isFile()) return;
  } catch (error) {
    throw new DatabaseError(
      errorCode(error) === 'ENOENT'
        ? `Database not found: ${file}. Set DATABASE_URL to the server's database, or run the command in its directory.`
        : `Cannot read the database ${file}: ${errorMessage(error)}. ${adviceForDatabaseError(error)}`,
    );
  }
  throw new DatabaseError(`Cannot read the database ${file}: it is not a file. Set DATABASE_URL.`);
}

/** Returns an error of SQLite as a DatabaseError with advice for the operator; null for any other error. */
export function toDatabaseError(error: unknown): DatabaseError | null {
  if (error instanceof DatabaseError) return error;
  if (error instanceof StoreBusyError) {
    return new DatabaseError(`The database cannot be used: ${error.message}. ${BUSY_ADVICE}`);
  }
  const cause = unwrapDrizzleError(error);
  if (!(cause instanceof SqliteDatabase.SqliteError)) return null;
  return new DatabaseError(`The database cannot be used: ${cause.message}. ${adviceForDatabaseError(cause)}`);
}

/** Copies the -wal into the file, as far as other processes and the disk allow, and closes the file. */
export function closeDatabase({ $client: client }: Database): void {
  if (!client.open) return;
  try {
    client.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    client.pragma('wal_checkpoint(TRUNCATE)');
  } catch (error) {
    // On a full disk the data stays in the -wal, which the next process that opens the file reads.
    if (!(error instanceof SqliteDatabase.SqliteError)) throw error;
  } finally {
    client.close();
  }
}

/** Returns a check that the name still belongs to the opened file: SQLite keeps writing into a removed file. */
export function watchInode(file: string): () => boolean {
  const { dev, ino } = statSync(file);
  return () => {
    const current = statSync(file, { throwIfNoEntry: false });
    return current !== undefined && current.dev === dev && current.ino === ino;
  };
}

export const replacedError = (file: string) =>
  new DatabaseError(`${file} was removed or replaced while hangup was running`);

/** Opens better-sqlite3 with its addon from the project or from the single file. */
export function openSqlite(file: string, options: SqliteDatabase.Options): SqliteDatabase.Database {
  const addon = sqliteAddon();
  // The type of `nativeBinding` is a path. better-sqlite3 also accepts a loaded addon.
  return new SqliteDatabase(file, Object.assign({ ...options }, addon && { nativeBinding: addon }));
}

/** Retries the switch to WAL, which ignores the busy timeout while another process switches too. */
function switchToWal(client: SqliteDatabase.Database): void {
  const deadline = performance.now() + OPEN_TIMEOUT_MS;
  for (;;) {
    try {
      client.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error;
      // Blocks the thread: the connection is synchronous too.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

/** Whether another connection's lock caused the error. The transaction was rolled back and may run again. */
export function isBusy(error: unknown): boolean {
  const cause = unwrapDrizzleError(error);
  return cause instanceof SqliteDatabase.SqliteError && cause.code.startsWith('SQLITE_BUSY');
}

/** drizzle throws the error of a statement as the cause of its own error. */
function unwrapDrizzleError(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}

function assertPragma(client: SqliteDatabase.Database, name: string, expected: string | number): void {
  const actual = client.pragma(name, { simple: true });
  if (actual !== expected) {
    throw new DatabaseError(
      `Durable writes are not available: PRAGMA ${name} is ${String(actual)}, expected ${expected}. Put the database on a local file system.`,
    );
  }
}

/**
 * Applies drizzle-kit's files, recorded in drizzle's table. One BEGIN IMMEDIATE surrounds the check and the migrations:
 * in drizzle's own migrator, two processes that start at once race. A failed migration changes nothing.
 */
function migrate(client: SqliteDatabase.Database, file: string, onMigrating: OnMigrate): void {
  const migrations = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER });
  const known = migrations.map(({ hash }) => hash);
  knownHashes = known;
  client
    .transaction(() => {
      client.exec(
        'CREATE TABLE IF NOT EXISTS __drizzle_migrations (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT',
      );
      const applied = client
        .prepare<[], { hash: string }>('SELECT hash FROM __drizzle_migrations ORDER BY id')
        .all();
      if (applied.some(({ hash }, index) => hash !== known[index])) {
        throw new DatabaseError(
          `The database ${file} was created by a newer or different version of hangup. Start that version, or restore a backup of this version.`,
        );
      }
      if (applied.length > 0 && applied.length < known.length) {
        onMigrating(migrationNames(MIGRATIONS_FOLDER).slice(applied.length));
      }
      const record = client.prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)');
      for (const migration of migrations.slice(applied.length)) {
        for (const statement of migration.sql) client.exec(statement);
        record.run(migration.hash, migration.folderMillis);
      }
    })
    .immediate();
}

export function hasTable(client: SqliteDatabase.Database, name: string): boolean {
  return (
    client.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined
  );
}

/** Compares the schema with this version's. Reads each time: a newer version may migrate the database of a running server. */
export function readSchemaVersion(client: SqliteDatabase.Database): SchemaVersion {
  if (!hasTable(client, '__drizzle_migrations')) return 'uninitialized';
  const applied = client
    .prepare<[], { hash: string }>('SELECT hash FROM __drizzle_migrations ORDER BY id')
    .all();
  return compareSchema(applied.map(({ hash }) => hash));
}

/** Compares the hashes of the applied migrations with this version's. */
export function compareSchema(applied: readonly string[]): Exclude<SchemaVersion, 'uninitialized'> {
  const known = knownMigrations();
  if (applied.some((hash, index) => hash !== known[index])) return 'ahead';
  return applied.length < known.length ? 'behind' : 'current';
}

let knownHashes: readonly string[] | undefined;

/** Sets the hashes of this version's migrations in a thread that cannot read the files. */
export function setKnownMigrations(hashes: readonly string[]): void {
  knownHashes = hashes;
}

/** Returns the hashes of this version's migrations. The files do not change while the process runs. */
export function knownMigrations(): readonly string[] {
  knownHashes ??= readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).map(({ hash }) => hash);
  return knownHashes;
}

/**
 * Compares the schema of a file with this version's, and lists the missing migrations. Changes nothing.
 * @throws DatabaseError when the file cannot be read
 */
export function inspectSchema(file: string): { version: SchemaVersion; pending: readonly string[] } {
  try {
    const client = openSqlite(file, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    try {
      const version = readSchemaVersion(client);
      if (version !== 'behind') return { version, pending: [] };
      const applied = client.prepare<[], number>('SELECT count(*) FROM __drizzle_migrations').pluck().get();
      return { version, pending: migrationNames(MIGRATIONS_FOLDER).slice(applied) };
    } finally {
      client.close();
    }
  } catch (error) {
    throw new DatabaseError(
      `Cannot read the database ${file}: ${errorMessage(error)}. ${adviceForDatabaseError(error)}`,
    );
  }
}

const BUSY_ADVICE = 'Another program holds the lock: end that program, then start again.';

/** Returns advice for an error of SQLite or the file system. */
export function adviceForDatabaseError(error: unknown): string {
  const code = errorCode(error);
  if (code === NO_PROC)
    return 'Mount /proc (mount -t proc proc /proc), also in a container or chroot; DATABASE_URL is not the cause.';
  if (/^(SQLITE_FULL|ENOSPC|EDQUOT)/.test(code)) return 'Free space on the disk, then start again.';
  if (/^(SQLITE_CORRUPT|SQLITE_NOTADB)/.test(code)) {
    return 'If DATABASE_URL is right, move the file away and restore a backup with `hangup restore FILE`.';
  }
  if (/^(SQLITE_BUSY|SQLITE_LOCKED)/.test(code)) {
    return BUSY_ADVICE;
  }
  if (/^SQLITE_IOERR/.test(code)) return 'The disk is full or faulty: check the system log.';
  if (/^(EACCES|EPERM|EROFS|SQLITE_CANTOPEN|SQLITE_READONLY)/.test(code)) {
    return 'Run as the user of the service, or as root, and check that this user can write the file and its directory.';
  }
  return 'Check that DATABASE_URL names a file in a directory that this user can write.';
}
