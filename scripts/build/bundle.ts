import { readFileSync, writeFileSync } from 'node:fs';
import Module from 'node:module';
import { join, resolve } from 'node:path';
import { rolldown } from 'rolldown';

const ROOT = resolve(import.meta.dirname, '../..');

/** Scripts that a bundle loads when it needs them, by the import in the source. */
const SEPARATE_SCRIPTS: ReadonlyMap<string, string> = new Map([['./sdk.ts', './mcp-sdk.cjs']]);

/** Returns a UTF-16 code unit as JavaScript in a string. */
const toEscape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/**
 * Bundles `input` and everything it imports into one script; returns the paths of the bundled files. The script is not an
 * ES module: V8's cache is for scripts, and an imported node:http loads undici for its WebSocket, 40 ms of each start.
 * @param external packages that the script loads from node_modules
 * @param isWrapped makes the script a function of `exports, require, module, __filename, __dirname`, as Node.js does
 */
export async function bundle(
  input: string,
  output: string,
  { external = [], isWrapped = false }: { external?: string[]; isWrapped?: boolean } = {},
): Promise<readonly string[]> {
  const bundler = await rolldown({
    input: join(ROOT, input),
    cwd: ROOT,
    platform: 'node',
    external,
    plugins: [
      {
        name: 'separate-scripts',
        resolveId: (source) => {
          const id = SEPARATE_SCRIPTS.get(source);
          return id === undefined ? null : { id, external: true };
        },
      },
    ],
  });
  const { output: parts } = await bundler.write({
    file: output,
    format: 'cjs',
    codeSplitting: false,
    // The single file's entry has no import().
    dynamicImportInCjs: false,
    comments: false,
    // V8 keeps the script in memory, so it has no spaces and short names. Stack traces keep the names of functions and classes.
    minify: { compress: false, mangle: { keepNames: true }, codegen: { removeWhitespace: true } },
  });
  await bundler.close();
  // One character outside of Latin-1 would double the script's size in memory, and its compilation takes longer.
  const script = readFileSync(output, 'utf8').replaceAll(/[^\0-\x7F]/g, toEscape);
  writeFileSync(output, isWrapped ? Module.wrap(script.replace(/^#!/, '//')) : script);
  return parts.flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []));
}
