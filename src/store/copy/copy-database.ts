import type { DatabaseAddress } from '../../platform/database-address.ts';
import type { OnMigrate } from '../database-error.ts';
import * as postgres from '../postgres/copy-endpoint.ts';
import * as sqlite from '../sqlite/copy-endpoint.ts';
import { type CopiedTable, type CopyProgress, copyRows } from './copy-rows.ts';
import type { CopySource, CopyTarget } from './endpoint.ts';

/**
 * Copies a database into a new one, or continues an interrupted copy, and verifies the copy. No other process can use the
 * databases meanwhile.
 * @throws DatabaseError
 */
export async function copyDatabase(
  { from, to }: { from: DatabaseAddress; to: DatabaseAddress },
  { onMigrating, onProgress }: { onMigrating: OnMigrate; onProgress: (progress: CopyProgress) => void },
): Promise<readonly CopiedTable[]> {
  const source = await openSource(from);
  try {
    const target = await openTarget(to, onMigrating);
    try {
      return await copyRows(source, target, { onProgress });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function openSource(address: DatabaseAddress): Promise<CopySource> {
  return address.kind === 'sqlite'
    ? sqlite.openCopySource(address.file)
    : postgres.openCopySource(address.url);
}

async function openTarget(address: DatabaseAddress, onMigrating: OnMigrate): Promise<CopyTarget> {
  return address.kind === 'sqlite'
    ? sqlite.openCopyTarget(address.file, onMigrating)
    : postgres.openCopyTarget(address.url, onMigrating);
}
