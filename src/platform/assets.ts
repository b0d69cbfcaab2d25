import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import type { WorkerOptions } from 'node:worker_threads';

/*
 * The files that are not code of hangup: migrations, SQLite's addon, the version, Redoc. They are in the project, or in the single file
 * (scripts/build.ts), where fs reads them as if they were beside its script.
 */
const IS_BUNDLE = import.meta.url.endsWith('.cjs');
const ROOT = fileURLToPath(new URL(IS_BUNDLE ? '.' : '../..', import.meta.url));

export const MIGRATIONS_FOLDER = join(ROOT, 'drizzle');

/**
 * Loads and returns better-sqlite3's addon; undefined from source, where better-sqlite3 finds the addon by itself.
 * @throws Error with the code NO_PROC if /proc is not mounted: Node.js loads embedded addons through it
 */
export function sqliteAddon(): object | undefined {
  if (!isSea()) return undefined;
  const addon = { exports: {} };
  try {
    process.dlopen(addon, join(ROOT, 'better_sqlite3.node'));
  } catch (error) {
    if (existsSync('/proc/self/fd')) throw error;
    throw Object.assign(new Error('/proc is not mounted, and loading SQLite requires it'), { code: NO_PROC });
  }
  return addon.exports;
}

export const NO_PROC = 'NO_PROC';

/** Returns the arguments of the Worker that runs the store. */
export function storeThread(): { readonly entry: string; readonly options: WorkerOptions } {
  if (!isSea()) {
    const file = IS_BUNDLE ? 'store-thread.cjs' : 'src/store/sqlite/store-thread.ts';
    return { entry: join(ROOT, file), options: { execArgv: [] } };
  }
  return {
    // A thread cannot read the embedded files. scripts/build/thread.cjs mounts them again.
    entry: readFileSync(join(ROOT, 'thread.cjs'), 'utf8'),
    options: { eval: true, execArgv: ['--experimental-vfs', '--disable-warning=ExperimentalWarning'] },
  };
}

/** Returns the command that starts hangup in a shell. */
export function commandName(): string {
  return isSea() ? 'hangup' : 'npx hangup';
}

/** Returns the version from package.json. `commit` is null from source. */
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

/** Returns the licenses of all parts of the single file; null from source, where they are in node_modules. */
export function readLicenses(): string | null {
  return isSea() ? readFileSync(join(ROOT, 'licenses.txt'), 'utf8') : null;
}

/** Returns Redoc's script, which renders the API reference in a browser. */
export function readRedoc(): string {
  const file = 'redoc/bundles/redoc.standalone.js';
  return readFileSync(
    isSea() ? join(ROOT, 'redoc.js') : createRequire(import.meta.url).resolve(file),
    'utf8',
  );
}

/** Returns the names of the operator's pages and examples, such as `install` and `hangup.service`. */
export function listDocs(): readonly string[] {
  return [...indexDocs().keys()].toSorted();
}

/** Returns the text of a page or example; null if the name is unknown. */
export function readDoc(name: string): string | null {
  const file = indexDocs().get(name);
  return file === undefined ? null : readFileSync(file, 'utf8');
}

function indexDocs(): ReadonlyMap<string, string> {
  const folders = [join(ROOT, 'docs'), join(ROOT, 'docs/monitoring')];
  const files = folders.flatMap((folder) =>
    readdirSync(folder).map((name) => [name, join(folder, name)] as const),
  );
  const forOperators = files.filter(([name]) => name === 'Caddyfile' || /^[^.]+\.(?!svg$)[^.]+$/.test(name));
  return new Map(forOperators.map(([name, file]) => [name.replace(/\.md$/, ''), file]));
}
