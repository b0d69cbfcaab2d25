import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import type { WorkerOptions } from 'node:worker_threads';

/*
 * What is no code: migrations, the addon of SQLite, the version. From source they lie in the project; in the single
 * file they are inside, where fs reads them as if they lay beside the one script (scripts/build.ts puts them there).
 */
const ROOT = fileURLToPath(new URL(isSea() ? '.' : '../..', import.meta.url));

export const MIGRATIONS_FOLDER = join(ROOT, 'drizzle');

/**
 * better-sqlite3's addon, loaded; undefined from source, where better-sqlite3 finds its own.
 * @throws Error with the code NO_PROC where /proc is not mounted: Node.js loads what is in the single file by it
 */
export function sqliteAddon(): object | undefined {
  if (!isSea()) return undefined;
  const addon = { exports: {} };
  try {
    process.dlopen(addon, join(ROOT, 'better_sqlite3.node'));
  } catch (error) {
    if (existsSync('/proc/self/fd')) throw error;
    throw Object.assign(new Error('/proc is not mounted, and SQLite is loaded by it'), { code: NO_PROC });
  }
  return addon.exports;
}

export const NO_PROC = 'NO_PROC';

/** How the thread of the store is started. */
export function storeThread(): { readonly entry: string; readonly options: WorkerOptions } {
  if (!isSea()) return { entry: join(ROOT, 'src/store/sqlite/store-thread.ts'), options: { execArgv: [] } };
  return {
    // A thread has none of the files that lie beside the script: scripts/build/thread.cjs puts up its own.
    entry: readFileSync(join(ROOT, 'thread.cjs'), 'utf8'),
    options: { eval: true, execArgv: ['--experimental-vfs', '--disable-warning=ExperimentalWarning'] },
  };
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

/** The operator's pages and examples, by name: `install`, `hangup.service`. */
export function listDocs(): readonly string[] {
  return [...docs().keys()].toSorted();
}

/** Null when there is none of that name. */
export function readDoc(name: string): string | null {
  const file = docs().get(name);
  return file === undefined ? null : readFileSync(file, 'utf8');
}

function docs(): ReadonlyMap<string, string> {
  const folders = [join(ROOT, 'docs'), join(ROOT, 'docs/monitoring')];
  const files = folders.flatMap((folder) =>
    readdirSync(folder).map((name) => [name, join(folder, name)] as const),
  );
  const forOperators = files.filter(([name]) => name === 'Caddyfile' || /^[^.]+\.(?!svg$)[^.]+$/.test(name));
  return new Map(forOperators.map(([name, file]) => [name.replace(/\.md$/, ''), file]));
}
