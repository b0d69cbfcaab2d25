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
import { adviceFor, assertThere, DatabaseError, giveToOwnerOf, openSqlite, schemaAge } from './database.ts';
import { processesWithDeleted } from './open-files.ts';

/** While another process works on the database, a little of its work is waited for. */
const BUSY_TIMEOUT_MS = 5_000;
/** Phone numbers are in it. */
const OWNER_ALONE = 0o600;

/**
 * Copies a database that may be in use, checks the copy, and puts it at `target`, which must not be there yet: whole, or
 * not at all.
 * @throws DatabaseError
 */
export async function backUp(file: string, target: string): Promise<void> {
  assertThere(file);
  assertFolder(target);
  if (existsSync(target)) throw alreadyThere(target);
  const partial = `${target}.${process.pid}.partial`;
  claim(partial);
  try {
    const source = openSqlite(file, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    try {
      // In one step: SQLite begins again when another process writes between two of them.
      await source.backup(partial, { progress: ({ totalPages }) => totalPages + 1 });
    } finally {
      source.close();
    }
    assertSound(partial, target);
    moveToFreeName(partial, target);
  } catch (error) {
    for (const leftover of withCompanions(partial)) rmSync(leftover, { force: true });
    if (error instanceof DatabaseError) throw error;
    throw new DatabaseError(
      `${target} could not be written: ${messageOf(error)}. Nothing was left there. ${adviceFor(error)}`,
    );
  }
}

/**
 * Puts a backup in the place of a database that nobody has open. What was there is kept beside it.
 * @param keptAs where it is kept
 * @returns whether there was one
 * @throws DatabaseError; then nothing was changed
 */
export function restore(backup: string, { file, keptAs }: { file: string; keptAs: string }): boolean {
  assertReadable(backup);
  assertFolder(file);
  assertNotOpen(file);
  const incoming = `${file}.${process.pid}.restoring`;
  claim(incoming);
  try {
    copyFileSync(backup, incoming);
    chmodSync(incoming, OWNER_ALONE);
    const isThere = existsSync(file);
    // systemd changes no owner in a folder that is the service's already.
    giveToOwnerOf(isThere ? file : dirname(file), incoming);
    assertSound(incoming, backup);
    if (isThere) setAside(file, keptAs);
    // SQLite would take the -wal of the old database for the new one's.
    setCompanionsAside(file, keptAs);
    renameDurably(incoming, file);
    return isThere;
  } catch (error) {
    for (const leftover of withCompanions(incoming)) rmSync(leftover, { force: true });
    if (error instanceof DatabaseError) throw error;
    throw new DatabaseError(
      `${backup} could not be restored: ${messageOf(error)}. ${file} is as it was. ${adviceFor(error)}`,
    );
  }
}

function assertReadable(backup: string): void {
  try {
    accessSync(backup, constants.R_OK);
  } catch (error) {
    const isThere = existsSync(backup);
    throw new DatabaseError(
      isThere ? `${backup} cannot be read: ${messageOf(error)}.` : `There is no file ${backup}.`,
    );
  }
}

/** Not made here: it must belong to the user that hangup runs as. */
function assertFolder(file: string): void {
  if (existsSync(dirname(file))) return;
  throw new DatabaseError(`There is no folder ${dirname(file)}. Make it, for the user that hangup runs as.`);
}

/** A lock shows who has the file of this name open, and not who has one open that was deleted or replaced. */
function assertNotOpen(file: string): void {
  const [pid] = processesWithDeleted(file);
  if (pid === undefined) return;
  throw new DatabaseError(
    `Process ${pid} runs on ${file}, although that file was deleted or replaced. Stop it, then restore.`,
  );
}

/** Makes a file that nobody else is at, readable by its owner alone before anything is in it. */
function claim(partial: string): void {
  try {
    writeFileSync(partial, '', { mode: OWNER_ALONE, flag: 'wx' });
    chmodSync(partial, OWNER_ALONE);
  } catch (error) {
    throw new DatabaseError(
      existsSync(partial)
        ? `${partial} is there: a backup or restore was cut off. Delete it, unless one is at work, and begin again.`
        : `${partial} cannot be written: ${messageOf(error)}. ${adviceFor(error)}`,
    );
  }
}

/** Every process that has a database in WAL mode open holds a lock on it, so an exclusive one proves that none has. */
function setAside(file: string, keptAs: string): void {
  let client: SqliteDatabase.Database | undefined;
  try {
    client = openSqlite(file, { timeout: 0 });
    client.pragma('locking_mode = EXCLUSIVE');
    client.exec('BEGIN EXCLUSIVE; COMMIT');
    // What is in the -wal goes into the file, which then is the database whole.
    client.pragma('journal_mode = DELETE');
    // It keeps its name too, until the backup takes that: there is a database at every moment.
    linkSync(file, keptAs);
  } catch (error) {
    if (error instanceof SqliteDatabase.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new DatabaseError(`hangup runs on ${file}. Stop it, then restore.`);
    }
    // One that is damaged is what a backup is for.
    if (!(error instanceof SqliteDatabase.SqliteError)) throw error;
    linkSync(file, keptAs);
  } finally {
    client?.close();
  }
}

function setCompanionsAside(file: string, keptAs: string): void {
  for (const suffix of COMPANIONS) if (existsSync(file + suffix)) renameSync(file + suffix, keptAs + suffix);
}

/** @param name what the operator calls it */
function assertSound(file: string, name: string): void {
  const problem = problemOf(file);
  if (problem !== null) throw new DatabaseError(`${name} ${problem}. Nothing was changed.`);
}

/** Null for a whole SQLite file, made by this hangup or an older one. */
function problemOf(file: string): string | null {
  try {
    const client = openSqlite(file, { fileMustExist: true });
    try {
      const found = client.pragma('integrity_check', { simple: true });
      if (found !== 'ok') return `is damaged: ${String(found)}`;
      switch (schemaAge(client)) {
        case 'uninitialized':
          return 'was not made by hangup';
        case 'ahead':
          return 'was made by a newer hangup';
        default:
          // So that it is one file, whatever it was.
          client.pragma('journal_mode = DELETE');
          return null;
      }
    } finally {
      client.close();
    }
  } catch (error) {
    return `is no database: ${messageOf(error)}`;
  }
}

const alreadyThere = (target: string) => new DatabaseError(`${target} is there already. Name another file.`);

/** Unlike a rename, a link does not replace the file of another backup that ended meanwhile. */
function moveToFreeName(from: string, to: string): void {
  fsync(from);
  try {
    linkSync(from, to);
    rmSync(from);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'EEXIST') throw alreadyThere(to);
    if (!NO_HARD_LINKS.includes(code)) throw error;
    claimName(to);
    renameSync(from, to);
  }
  fsync(dirname(to));
}

/** The errors of file systems without hard links, such as FAT. */
const NO_HARD_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

function claimName(target: string): void {
  try {
    writeFileSync(target, '', { mode: OWNER_ALONE, flag: 'wx' });
  } catch (error) {
    throw existsSync(target) ? alreadyThere(target) : error;
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

const COMPANIONS = ['-wal', '-shm', '-journal'];
const withCompanions = (file: string) => [file, ...COMPANIONS.map((suffix) => file + suffix)];

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
