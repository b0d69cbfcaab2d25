import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import tailwind from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { build, type Rolldown } from 'vite';

const ROOT = resolve(import.meta.dirname, '../..');
export const CONSOLE_FOLDER = 'dist/console';
const OUT = join(ROOT, CONSOLE_FOLDER);
const PAGE = 'index.html';
/** In kB (1,000 bytes), with gzip: the page, its style and the scripts that the page starts with. */
const MAX_FIRST_LOAD_KB = 150;

type Files = ReadonlyMap<string, Rolldown.OutputChunk | Rolldown.OutputAsset>;

/**
 * Writes the web console to {@link CONSOLE_FOLDER}. Returns the files that it contains, and the size of the first load.
 * @throws if the first load is too large
 */
export async function buildConsole(): Promise<{
  readonly modules: readonly string[];
  readonly firstLoadKb: number;
}> {
  const result = await build({
    configFile: false,
    root: join(ROOT, 'src/console'),
    base: '/console/',
    plugins: [react(), tailwind()],
    logLevel: 'warn',
    build: {
      outDir: OUT,
      emptyOutDir: true,
      // The content security policy permits no image in a script or a style.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  });
  const [bundle] = [result].flat();
  if (bundle === undefined || !('output' in bundle)) throw new Error('Vite has built nothing');
  const files: Files = new Map(bundle.output.map((file) => [file.fileName, file]));
  const firstLoad = firstLoadOf(files);
  const bytes = firstLoad
    .map((name) => gzipSync(readFileSync(join(OUT, name)), { level: 9 }).length)
    .reduce((total, length) => total + length, 0);
  const firstLoadKb = bytes / 1_000;
  if (firstLoadKb > MAX_FIRST_LOAD_KB) {
    throw new Error(
      `the first load of the console has ${firstLoadKb.toFixed(1)} kB, the limit is ${MAX_FIRST_LOAD_KB} kB: ${firstLoad.join(', ')}`,
    );
  }
  const modules = [...files.values()].flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  return { modules, firstLoadKb };
}

/** Returns the page, its styles, and its entry with the chunks that the entry imports statically. */
function firstLoadOf(files: Files): readonly string[] {
  const page = files.get(PAGE);
  if (page?.type !== 'asset') throw new Error(`Vite has built no ${PAGE}`);
  // The style of another page is loaded with that page.
  const styles = [...files.keys()].filter(
    (name) => name.endsWith('.css') && String(page.source).includes(name),
  );
  const names = new Set([PAGE, ...styles]);
  const add = (name: string) => {
    if (names.has(name)) return;
    names.add(name);
    const file = files.get(name);
    if (file?.type === 'chunk') file.imports.forEach(add);
  };
  for (const [name, file] of files) if (file.type === 'chunk' && file.isEntry) add(name);
  return [...names];
}
