import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * The ids of processes that have a deleted file of this name open, as Linux lists them in /proc. Only processes of the
 * same user are seen, or as root all of them, and none of another container. Elsewhere than on Linux: none.
 * @param file in a folder that is there
 */
export function processesWithDeleted(file: string): number[] {
  // The kernel's own words for it.
  const link = `${join(realpathSync(dirname(file)), basename(file))} (deleted)`;
  return entriesOf('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => entriesOf(`/proc/${pid}/fd`).some((fd) => targetOf(`/proc/${pid}/fd/${fd}`) === link))
    .map(Number);
}

/** Empty for a process that has ended, or is another user's. */
function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function targetOf(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch {
    return null;
  }
}
