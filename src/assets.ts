import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';

/*
 * What is no code: migrations, the addon of SQLite, the version. From source they lie in the project; in the single
 * file they are inside, where fs reads them as if they lay beside the one script (scripts/build.ts puts them there).
 */
const ROOT = fileURLToPath(new URL(isSea() ? '.' : '..', import.meta.url));

export const MIGRATIONS_FOLDER = join(ROOT, 'drizzle');

/** better-sqlite3's addon, loaded; undefined from source, where better-sqlite3 finds its own. */
export function sqliteAddon(): object | undefined {
  if (!isSea()) return undefined;
  const addon = { exports: {} };
  process.dlopen(addon, join(ROOT, 'better_sqlite3.node'));
  return addon.exports;
}

/** What to type for it: from source npm knows where it is. */
export function commandName(): string {
  return isSea() ? 'hangup' : 'npx hangup';
}

/** `commit` is null from source. */
export function readVersion(): { readonly version: string; readonly commit: string | null } {
  const manifest: unknown = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  if (typeof manifest !== 'object' || manifest === null || !('version' in manifest)) {
    throw new Error('package.json has no version');
  }
  return {
    version: String(manifest.version),
    commit: 'commit' in manifest ? String(manifest.commit) : null,
  };
}

/** The licenses of all that the single file holds; null from source, where they lie in node_modules. */
export function readLicenses(): string | null {
  return isSea() ? readFileSync(join(ROOT, 'licenses.txt'), 'utf8') : null;
}

const DOCS = join(ROOT, 'docs');

/** The operator's pages and examples, by name: `install`, `hangup.service`. */
export function listDocs(): readonly string[] {
  return readdirSync(DOCS)
    .filter((file) => extname(file) !== '')
    .concat('Caddyfile')
    .map((file) => file.replace(/\.md$/, ''))
    .toSorted();
}

/** Null when there is none of that name. */
export function readDoc(name: string): string | null {
  if (!listDocs().includes(name)) return null;
  const page = join(DOCS, `${name}.md`);
  return readFileSync(existsSync(page) ? page : join(DOCS, name), 'utf8');
}
