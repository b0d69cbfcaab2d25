import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Returns the ids of processes that have a deleted file of this name open, as Linux lists them in /proc: processes of the
 * same user, or all processes for root, and never those of another container. Returns an empty list outside Linux.
 * @param file in an existing directory
 */
export function processesWithDeleted(file: string): number[] {
  // The kernel's name for a deleted file.
  const link = `${join(realpathSync(dirname(file)), basename(file))} (deleted)`;
  return listDirectory('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) =>
      listDirectory(`/proc/${pid}/fd`).some((fd) => linkTarget(`/proc/${pid}/fd/${fd}`) === link),
    )
    .map(Number);
}

/** Returns an empty list for a process that has ended or belongs to another user. */
function listDirectory(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkTarget(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch {
    return null;
  }
}
