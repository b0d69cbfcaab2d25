import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Returns the names of this version's migrations in a folder, in the order in which they are applied. */
export function migrationNames(folder: string): readonly string[] {
  const journal: unknown = JSON.parse(readFileSync(join(folder, 'meta/_journal.json'), 'utf8'));
  return (journal as { entries: { tag: string }[] }).entries.map(({ tag }) => tag);
}
