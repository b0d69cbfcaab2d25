import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { errorCode, errorMessage } from '../../domain/errors.ts';
import {
  adviceForDatabaseError,
  assertDatabaseExists,
  chownLike,
  DatabaseError,
  openSqlite,
  readSchemaVersion,
} from './database.ts';
import { processesWithDeleted } from './open-files.ts';

/** How long a backup waits for another process's write. */
const BUSY_TIMEOUT_MS = 5_000;
/** Backups contain phone numbers. */
const OWNER_ONLY = 0o600;

/**
 * Copies a database that may be in use, checks the copy, and moves it to `target`, which must not exist. An error leaves
 * no file.
 * @throws DatabaseError
 */
export async function backupDatabase(file: string, target: string): Promise<void> {
  assertDatabaseExists(file);
  assertDirectory(target);
  if (existsSync(target)) throw fileExistsError(target);
  const partial = `${target}.${process.pid}.partial`;
  createExclusive(partial);
  try {
    const source = openSqlite(file, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    try {
      // In one step: SQLite restarts the copy when another process writes between two steps.
      await source.backup(partial, { progress: ({ totalPages }) => totalPages + 1 });
    } finally {
      source.close();
    }
    assertValidDatabase(partial, target);
    moveToFreeName(partial, target);
  } catch (error) {
    for (const leftover of withSidecars(partial)) rmSync(leftover, { force: true });
    if (error instanceof DatabaseError) throw error;
    throw new DatabaseError(
      `Cannot write ${target}: ${errorMessage(error)}. No file was left there. ${adviceForDatabaseError(error)}`,
    );
  }
}

/**
 * Replaces a database that no process has open by a backup. The replaced database is kept at `previousPath`.
 * @returns whether a database was replaced
 * @throws DatabaseError when the restore failed and changed nothing
 */
export function restoreDatabase(
  backup: string,
  { file, previousPath }: { file: string; previousPath: string },
): boolean {
  assertReadable(backup);
  assertDirectory(file);
  assertNotOpen(file);
  const incoming = `${file}.${process.pid}.restoring`;
  createExclusive(incoming);
  try {
    copyFileSync(backup, incoming);
    chmodSync(incoming, OWNER_ONLY);
    const isReplacing = existsSync(file);
    // systemd does not change the owner of files in a directory that belongs to the service.
    chownLike(isReplacing ? file : dirname(file), incoming);
    assertValidDatabase(incoming, backup);
    skipPositions(incoming);
    if (isReplacing) moveAside(file, previousPath);
    // Otherwise SQLite would apply the -wal of the old database to the new one.
    moveSidecarsAside(file, previousPath);
    renameDurably(incoming, file);
    return isReplacing;
  } catch (error) {
    for (const leftover of withSidecars(incoming)) rmSync(leftover, { force: true });
    if (error instanceof DatabaseError) throw error;
    throw new DatabaseError(
      `Cannot restore ${backup}: ${errorMessage(error)}. ${file} is unchanged. ${adviceForDatabaseError(error)}`,
    );
  }
}

/** More than a database writes between two backups. */
const SKIPPED_POSITIONS = 1_000_000_000;

/**
 * Lets later events begin at new ids. A reader of the event stream who has events that the backup lacks then gets a reset, and
 * not other events at the same positions.
 */
function skipPositions(file: string): void {
  const client = openSqlite(file, { fileMustExist: true });
  try {
    client
      .prepare("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'audit_log'")
      .run(SKIPPED_POSITIONS);
  } finally {
    client.close();
  }
}

function assertReadable(backup: string): void {
  try {
    accessSync(backup, constants.R_OK);
  } catch (error) {
    throw new DatabaseError(
      existsSync(backup) ? `Cannot read ${backup}: ${errorMessage(error)}.` : `File not found: ${backup}.`,
    );
  }
}

/** Asserts that the file's directory exists. hangup does not create the directory, which must belong to its own user. */
function assertDirectory(file: string): void {
  if (existsSync(dirname(file))) return;
  throw new DatabaseError(
    `Directory not found: ${dirname(file)}. Create it for the user that hangup runs as.`,
  );
}

/** Asserts that no process has a deleted or replaced file of this name open, which a lock of the new file cannot show. */
function assertNotOpen(file: string): void {
  const [pid] = processesWithDeleted(file);
  if (pid === undefined) return;
  throw new DatabaseError(
    `Process ${pid} uses ${file}, although that file was deleted or replaced. Stop the process, then restore.`,
  );
}

/** Creates a file that no other process uses, readable only by its owner before it has any content. */
function createExclusive(partial: string): void {
  try {
    writeFileSync(partial, '', { mode: OWNER_ONLY, flag: 'wx' });
    chmodSync(partial, OWNER_ONLY);
  } catch (error) {
    throw new DatabaseError(
      existsSync(partial)
        ? `${partial} exists: a backup or restore is running or was interrupted. If none is running, delete the file and start again.`
        : `Cannot write ${partial}: ${errorMessage(error)}. ${adviceForDatabaseError(error)}`,
    );
  }
}

/**
 * Links the database to `previousPath`. Each process holds a lock on its open WAL database, so an exclusive lock proves
 * that no process has the database open.
 */
function moveAside(file: string, previousPath: string): void {
  let client: SqliteDatabase.Database | undefined;
  try {
    client = openSqlite(file, { timeout: 0 });
    client.pragma('locking_mode = EXCLUSIVE');
    client.exec('BEGIN EXCLUSIVE; COMMIT');
    // Copies the -wal into the file, which is the complete database afterwards.
    client.pragma('journal_mode = DELETE');
    // A link, not a rename: a database exists under its own name until the backup replaces it.
    linkSync(file, previousPath);
  } catch (error) {
    if (error instanceof SqliteDatabase.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new DatabaseError(
        `The database ${file} is in use by a running hangup. Stop hangup, then restore.`,
      );
    }
    // The database is damaged, which is a reason to restore.
    if (!(error instanceof SqliteDatabase.SqliteError)) throw error;
    linkSync(file, previousPath);
  } finally {
    client?.close();
  }
}

function moveSidecarsAside(file: string, previousPath: string): void {
  for (const suffix of SIDECAR_SUFFIXES)
    if (existsSync(file + suffix)) renameSync(file + suffix, previousPath + suffix);
}

/** Asserts that a file is a valid database. @param name the operator's name for the file. @throws DatabaseError */
function assertValidDatabase(file: string, name: string): void {
  const problem = validationError(file);
  if (problem !== null) throw new DatabaseError(`${name} ${problem}. Nothing was changed.`);
}

/** Returns the fault of a file, as a predicate; null for a valid database with this version's schema or an older one. */
function validationError(file: string): string | null {
  try {
    const client = openSqlite(file, { fileMustExist: true });
    try {
      const integrity = client.pragma('integrity_check', { simple: true });
      if (integrity !== 'ok') return `is damaged: ${String(integrity)}`;
      switch (readSchemaVersion(client)) {
        case 'uninitialized':
          return 'was not created by hangup';
        case 'ahead':
          return 'was created by a newer version of hangup';
        default:
          // Without WAL, the database is a single file.
          client.pragma('journal_mode = DELETE');
          return null;
      }
    } finally {
      client.close();
    }
  } catch (error) {
    return `is not a database: ${errorMessage(error)}`;
  }
}

const fileExistsError = (target: string) =>
  new DatabaseError(`${target} already exists. Choose another file name.`);

/** Moves a file by a link, which never replaces another file, such as that of a concurrent backup. */
function moveToFreeName(from: string, to: string): void {
  fsync(from);
  try {
    linkSync(from, to);
    rmSync(from);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EEXIST') throw fileExistsError(to);
    if (!NO_HARD_LINKS.includes(code)) throw error;
    reserveName(to);
    renameSync(from, to);
  }
  fsync(dirname(to));
}

/** The errors of file systems without hard links, such as FAT. */
const NO_HARD_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

/** Creates an empty file, which the following rename replaces. */
function reserveName(target: string): void {
  try {
    writeFileSync(target, '', { mode: OWNER_ONLY, flag: 'wx' });
  } catch (error) {
    throw existsSync(target) ? fileExistsError(target) : error;
  }
}

function renameDurably(from: string, to: string): void {
  fsync(from);
  renameSync(from, to);
  fsync(dirname(to));
}

function fsync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

const SIDECAR_SUFFIXES = ['-wal', '-shm', '-journal'];
const withSidecars = (file: string) => [file, ...SIDECAR_SUFFIXES.map((suffix) => file + suffix)];
