import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Finding } from '../finding.ts';

export interface AccessFacts {
  /** Paths of the files that every user of the machine can read. */
  readonly worldReadableFiles: readonly string[];
  readonly isOwnedByUser: boolean;
  /** Whether this user can write the files and create others in their directory. */
  readonly isWritable: boolean;
}

const WORLD_READABLE = 0o004;

/** Whether every user of the machine can read the file. */
export function isWorldReadable(path: string): boolean {
  return (statSync(path).mode & WORLD_READABLE) !== 0;
}

/** Reads the permissions of the database's files. @param userId undefined on a system without user ids */
export function inspectAccess(file: string, userId: number | undefined): AccessFacts {
  const files = [file, `${file}-wal`, `${file}-shm`].filter((path) => existsSync(path));
  return {
    worldReadableFiles: files.filter(isWorldReadable),
    isOwnedByUser: userId === undefined || statSync(file).uid === userId,
    // SQLite creates -wal and -shm in the directory.
    isWritable: [...files, dirname(file)].every(isWritable),
  };
}

export function assessAccess(
  file: string,
  { worldReadableFiles, isOwnedByUser, isWritable }: AccessFacts,
): Finding {
  const check = 'access';
  if (worldReadableFiles.length > 0) {
    const verbs = worldReadableFiles.length === 1 ? ['is', 'contains'] : ['are', 'contain'];
    return {
      check,
      level: 'failure',
      message: `${worldReadableFiles.join(', ')} ${verbs[0]} world-readable and ${verbs[1]} phone numbers`,
      advice: `chmod 600 ${worldReadableFiles.join(' ')}`,
    };
  }
  if (!isWritable) {
    return {
      check,
      level: 'failure',
      message: `this user cannot write ${file} or its directory, so hangup does not start as this user`,
      advice: `run the doctor as the user that runs hangup; if the check still fails, chown ${file}* and the directory to that user`,
    };
  }
  if (!isOwnedByUser) {
    return {
      check,
      level: 'warning',
      message: `another user owns ${file}`,
      advice: 'run the doctor as the user that runs hangup, because permissions differ between users',
    };
  }
  return { check, level: 'ok', message: 'the database files are not world-readable' };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
