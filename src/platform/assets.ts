import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { getRawAsset, isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import type { WorkerOptions } from 'node:worker_threads';

/*
 * The files that are not code of hangup: migrations, SQLite's addon, the version, Redoc, the console. They are in the project, or in the single file
 * (scripts/build.ts), where fs reads them as if they were beside its script.
 */
const IS_BUNDLE = import.meta.url.endsWith('.cjs');
const ROOT = fileURLToPath(new URL(IS_BUNDLE ? '.' : '../..', import.meta.url));

export const MIGRATIONS_FOLDER = join(ROOT, 'drizzle');

declare module 'node:vfs' {
  interface VirtualFileSystem {
    /** Returns the folder in which fs finds the files. @types/node lacks this method. */
    mount(): string;
  }
}

let loadedAddon: object | undefined;

/**
 * Loads and returns better-sqlite3's addon; undefined from source, where better-sqlite3 finds the addon by itself. Node.js
 * copies an embedded addon at each load, so each thread loads it once.
 * @throws Error with the code NO_PROC if /proc is not mounted: Node.js loads embedded addons through it
 */
export function sqliteAddon(): object | undefined {
  if (!isSea() || loadedAddon !== undefined) return loadedAddon;
  const addon = { exports: {} };
  // A mount replaces process.dlopen.
  const file = mountAddon();
  try {
    process.dlopen(addon, file);
  } catch (error) {
    if (existsSync('/proc/self/fd')) throw error;
    throw Object.assign(new Error('/proc is not mounted, and loading SQLite requires it'), { code: NO_PROC });
  }
  loadedAddon = addon.exports;
  return loadedAddon;
}

/**
 * Returns a path of the embedded addon that process.dlopen can load. At the path that fs has, Node.js copies 2 MB several
 * times and keeps the copies until V8 collects all garbage. In a thread, fs has no embedded files.
 */
function mountAddon(): string {
  // Not imported: from source, Node.js runs without this module.
  const vfs = process.getBuiltinModule('node:vfs');
  class Addon extends vfs.VirtualProvider {
    existsSync = () => true;
    readFileSync = () => Buffer.from(getRawAsset('better_sqlite3.node'));
  }
  return join(vfs.create(new Addon(), { emitExperimentalWarning: false }).mount(), 'better_sqlite3.node');
}

export const NO_PROC = 'NO_PROC';

/** Returns the arguments of the Worker that runs the store. */
export function storeThread(): { readonly entry: string; readonly options: WorkerOptions } {
  if (!isSea()) {
    const file = IS_BUNDLE ? 'store-thread.cjs' : 'src/store/sqlite/store-thread.ts';
    return { entry: join(ROOT, file), options: { execArgv: [] } };
  }
  return {
    // In a thread, fs has no embedded files. scripts/build/thread.cjs reads the script.
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

/** Returns the files of the web console by their paths, such as `index.html`; null if the console is not built. */
export function readConsole(): ReadonlyMap<string, Buffer> | null {
  const folder = join(ROOT, isSea() ? 'console' : 'dist/console');
  if (!existsSync(join(folder, 'index.html'))) return null;
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return new Map(
    entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .map((file) => [relative(folder, file), readFileSync(file)]),
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
