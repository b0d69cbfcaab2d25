import { statSync } from 'node:fs';
import { errorMessage } from '../../domain/errors.ts';
import type { Finding } from '../finding.ts';
import { type AccessFacts, inspectAccess } from './access.ts';
import { inspectDiskSpace } from './disk-space.ts';
import { inspectWalSize } from './wal-size.ts';

export type DatabaseFileFacts =
  | { readonly kind: 'missing' }
  | { readonly kind: 'unusable'; readonly detail: string; readonly advice: string | null }
  | {
      readonly kind: 'present';
      readonly access: AccessFacts;
      readonly freeBytes: number;
      readonly walBytes: number;
    };

/** Reads the attributes of the database's files, not the contents. Never throws. */
export function inspectDatabaseFile(file: string, userId: number | undefined): DatabaseFileFacts {
  try {
    const status = statSync(file, { throwIfNoEntry: false });
    if (status === undefined) return { kind: 'missing' };
    if (!status.isFile()) return { kind: 'unusable', detail: 'not a regular file', advice: null };
    return {
      kind: 'present',
      access: inspectAccess(file, userId),
      freeBytes: inspectDiskSpace(file),
      walBytes: inspectWalSize(file),
    };
  } catch (error) {
    return { kind: 'unusable', detail: errorMessage(error), advice: null };
  }
}

/** Assesses a file that cannot be used. @param file its full path */
export function assessDatabaseFile(
  file: string,
  facts: Exclude<DatabaseFileFacts, { kind: 'present' }>,
): Finding {
  const check = 'database';
  if (facts.kind === 'missing') {
    return {
      check,
      level: 'failure',
      message: `database not found: ${file}`,
      advice:
        'run the doctor with the settings of the server; on a new machine, create the database with `hangup migrate`',
    };
  }
  return {
    check,
    level: 'failure',
    message: `cannot read ${file}: ${facts.detail}`,
    advice:
      facts.advice ??
      'check that DATABASE_URL names a hangup database that this user can read; if it does, restore a backup',
  };
}
