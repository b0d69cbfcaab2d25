import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { StoreBusyError } from '../../domain/errors.ts';
import { MIGRATIONS_FOLDER, NO_PROC, sqliteAddon } from '../../platform/assets.ts';
import type { SchemaVersion } from '../../ports/diagnostics.ts';

export type Database = BetterSQLite3Database & { readonly $client: SqliteDatabase.Database };

/** The database cannot be used; the message says what to do. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
}

/** Commands wait this long for another process's write. The thread waits are a blocked event loop: hangup serve has none. */
const BUSY_TIMEOUT_MS = 2_000;
const OPENING_TIMEOUT_MS = 30_000;
/** A long reader lets the -wal grow; after it SQLite cuts the file down to this. */
const WAL_LIMIT_BYTES = 16 * 1024 * 1024;

/** Told the migrations that a database lacks, before they are applied: of a big one that takes minutes. */
export type OnMigrating = (names: readonly string[]) => void;

/** Opens the file (made if absent, with its folder), brings its schema up to date, and checks its safety. */
export function openDatabase(file: string, onMigrating: OnMigrating): Database {
  let client: SqliteDatabase.Database;
  try {
    const isNew = !existsSync(file);
    if (!isNew && !statSync(file).isFile()) throw new Error('that is no file');
    makeFolder(dirname(file));
    client = openSqlite(file, { timeout: OPENING_TIMEOUT_MS });
    if (isNew) {
      // Phone numbers are in it; SQLite gives its -wal and -shm the mode and the owner of the file.
      chmodSync(file, 0o600);
      giveToOwnerOf(dirname(file), file);
    }
  } catch (error) {
    throw new DatabaseError(`Cannot open the database ${file}: ${messageOf(error)}. ${adviceFor(error)}`);
  }
  try {
    switchToWal(client);
    makeSafe(client);
    migrate(client, file, onMigrating);
    client.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    return drizzle(client);
  } catch (error) {
    client.close();
    if (error instanceof DatabaseError) throw error;
    throw new DatabaseError(`Cannot use the database ${file}: ${messageOf(error)}. ${adviceFor(error)}`);
  }
}

/** Makes a folder and those above it. Not by `recursive` of Node.js, which tries for ever where mkdir is ENOENT, as in /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) {
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is not a folder`);
    return;
  }
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another hangup has just made it.
    if (!existsSync(folder)) throw error;
  }
}

/** Sets the pragmas that each connection needs, and asserts them. @throws DatabaseError */
function makeSafe(client: SqliteDatabase.Database): void {
  client.pragma('foreign_keys = ON');
  // In KiB; SQLite's own default. This build's is 16 MB of hangup's memory, for what the kernel caches as well.
  client.pragma('cache_size = -2000');
  client.pragma(`journal_size_limit = ${WAL_LIMIT_BYTES}`);
  // The default of this build in WAL mode is NORMAL, which forgets acknowledged commits when the power fails.
  client.pragma('synchronous = FULL');
  assertPragma(client, 'journal_mode', 'wal');
  assertPragma(client, 'synchronous', 2);
  assertPragma(client, 'foreign_keys', 1);
}

/**
 * Returns a second connection to a database that {@link openDatabase} has open. A lock that another process holds is
 * SQLITE_BUSY at once.
 */
export function openWriter(file: string): Database {
  const client = openSqlite(file, { fileMustExist: true, timeout: 0 });
  makeSafe(client);
  return drizzle(client);
}

/** Makes a connection one that only reads, and that never blocks its thread for a lock. */
export function readOnly({ $client: client }: Database): void {
  client.pragma('query_only = ON');
  client.pragma('busy_timeout = 0');
}

/** What root makes is for the user that hangup runs as. */
export function giveToOwnerOf(other: string, file: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(other);
  chownSync(file, uid, gid);
}

/** @throws DatabaseError unless there is a file of that name, and its folder may be looked into */
export function assertThere(file: string): void {
  try {
    if (statSync(file).isFile()) return;
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new DatabaseError(
      isMissing
        ? `Cannot read the database ${file}: there is none. Set DATABASE_URL to the one that hangup serves, or start in its folder.`
        : `Cannot read the database ${file}: ${messageOf(error)}. ${adviceFor(error)}`,
    );
  }
  throw new DatabaseError(`Cannot read the database ${file}: that is no file. Set DATABASE_URL.`);
}

/** What SQLite says wherever it is asked, in the words of an operator; null for what it did not say. */
export function databaseErrorOf(error: unknown): DatabaseError | null {
  if (error instanceof DatabaseError) return error;
  if (error instanceof StoreBusyError) {
    return new DatabaseError(`The database cannot be used: ${error.message}. ${BUSY_ADVICE}`);
  }
  // drizzle wraps it.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (!(cause instanceof SqliteDatabase.SqliteError)) return null;
  return new DatabaseError(`The database cannot be used: ${cause.message}. ${adviceFor(cause)}`);
}

/** What is in the -wal goes into the file, as far as other processes and the disk let it; then the file is closed. */
export function closeDatabase({ $client: client }: Database): void {
  if (!client.open) return;
  try {
    client.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    client.pragma('wal_checkpoint(TRUNCATE)');
  } catch (error) {
    // On a full disk it stays in the -wal, where whoever opens the file next finds it.
    if (!(error instanceof SqliteDatabase.SqliteError)) throw error;
  } finally {
    client.close();
  }
}

/** Whether the file that was opened is still the one of this name: SQLite would go on writing into a removed one. */
export function watchPlace(file: string): () => boolean {
  const { dev, ino } = statSync(file);
  return () => {
    const now = statSync(file, { throwIfNoEntry: false });
    return now !== undefined && now.dev === dev && now.ino === ino;
  };
}

/** better-sqlite3, with its addon from wherever it is. */
export function openSqlite(file: string, options: SqliteDatabase.Options): SqliteDatabase.Database {
  const addon = sqliteAddon();
  // The types know paths alone; an addon that is loaded already is taken too.
  return new SqliteDatabase(file, {
    ...options,
    ...(addon && { nativeBinding: addon as unknown as string }),
  });
}

/** The switch fails at once with SQLITE_BUSY, without the busy timeout, while another process switches too. */
function switchToWal(client: SqliteDatabase.Database): void {
  const giveUpAt = performance.now() + OPENING_TIMEOUT_MS;
  for (;;) {
    try {
      client.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() > giveUpAt) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

/** Whether another connection's lock is the reason; the transaction was rolled back, and may run again. */
export function isBusy(error: unknown): boolean {
  // drizzle wraps the error of a statement.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return cause instanceof SqliteDatabase.SqliteError && cause.code.startsWith('SQLITE_BUSY');
}

function assertPragma(client: SqliteDatabase.Database, name: string, expected: string | number): void {
  const actual = client.pragma(name, { simple: true });
  if (actual !== expected) {
    throw new DatabaseError(
      `The database does not keep what it is told: PRAGMA ${name} is ${String(actual)}, not ${expected}. Put it on a local file system.`,
    );
  }
}

/**
 * drizzle-kit's files, in drizzle's own table; but decided inside one BEGIN IMMEDIATE, for two processes that
 * start at once race in drizzle's migrator. A failed migration leaves the database as it was.
 */
function migrate(client: SqliteDatabase.Database, file: string, onMigrating: OnMigrating): void {
  const migrations = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER });
  client
    .transaction(() => {
      client.exec(
        'CREATE TABLE IF NOT EXISTS __drizzle_migrations (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT',
      );
      const applied = client
        .prepare<[], { hash: string }>('SELECT hash FROM __drizzle_migrations ORDER BY id')
        .all();
      const known = migrations.map((migration) => migration.hash);
      if (applied.some(({ hash }, index) => hash !== known[index])) {
        throw new DatabaseError(
          `The database ${file} was made by a newer (or another) hangup than this one. Start that version, or restore a backup made with this one.`,
        );
      }
      if (applied.length > 0 && applied.length < known.length) {
        onMigrating(migrationNames().slice(applied.length));
      }
      const remember = client.prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)');
      for (const migration of migrations.slice(applied.length)) {
        for (const statement of migration.sql) client.exec(statement);
        remember.run(migration.hash, migration.folderMillis);
      }
    })
    .immediate();
}

/** The schema against this version's: a newer hangup may have changed it under a running one. Only reads. */
export function schemaAge(client: SqliteDatabase.Database): SchemaVersion {
  const known = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).map(({ hash }) => hash);
  const isOurs = client.prepare("SELECT 1 FROM sqlite_schema WHERE name = '__drizzle_migrations'").get();
  if (isOurs === undefined) return 'uninitialized';
  const applied = client
    .prepare<[], { hash: string }>('SELECT hash FROM __drizzle_migrations ORDER BY id')
    .all();
  if (applied.some(({ hash }, index) => hash !== known[index])) return 'ahead';
  return applied.length < known.length ? 'behind' : 'current';
}

/**
 * How the file's schema is against this version's, and the migrations that it lacks when it is older. Changes nothing.
 * @throws DatabaseError when it cannot be read
 */
export function schemaOf(file: string): { age: SchemaVersion; pending: readonly string[] } {
  try {
    const client = openSqlite(file, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    try {
      const age = schemaAge(client);
      if (age !== 'behind') return { age, pending: [] };
      const applied = client.prepare<[], number>('SELECT count(*) FROM __drizzle_migrations').pluck().get();
      return { age, pending: migrationNames().slice(applied) };
    } finally {
      client.close();
    }
  } catch (error) {
    throw new DatabaseError(`Cannot read the database ${file}: ${messageOf(error)}. ${adviceFor(error)}`);
  }
}

/** In the order in which they are applied. */
function migrationNames(): readonly string[] {
  const journal: unknown = JSON.parse(readFileSync(join(MIGRATIONS_FOLDER, 'meta/_journal.json'), 'utf8'));
  return (journal as { entries: { tag: string }[] }).entries.map(({ tag }) => tag);
}

const BUSY_ADVICE = 'Another program holds it locked: end that one, then start again.';

/** What to do about what SQLite or the file system says. */
export function adviceFor(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === NO_PROC)
    return 'Mount it (mount -t proc proc /proc), in a container or chroot too; DATABASE_URL is not the reason.';
  if (/^(SQLITE_FULL|ENOSPC|EDQUOT)/.test(code)) return 'Free space on its disk, then start again.';
  if (/^(SQLITE_CORRUPT|SQLITE_NOTADB)/.test(code)) {
    return 'If DATABASE_URL is right, move it away, and put a backup in its place with `hangup restore FILE`.';
  }
  if (/^(SQLITE_BUSY|SQLITE_LOCKED)/.test(code)) {
    return BUSY_ADVICE;
  }
  if (/^SQLITE_IOERR/.test(code)) return 'Its disk fails or is full: look into the system log.';
  if (/^(EACCES|EPERM|EROFS|SQLITE_CANTOPEN|SQLITE_READONLY)/.test(code)) {
    return 'Be the user that hangup runs as, or root, and check that this user may write the file and its folder.';
  }
  return 'Check that DATABASE_URL names a file in a folder that this user may write.';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
