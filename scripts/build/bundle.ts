import { join, resolve } from 'node:path';
import { rolldown } from 'rolldown';

const ROOT = resolve(import.meta.dirname, '../..');

/** Scripts that a bundle loads when it needs them, by the import in the source. */
const SEPARATE_SCRIPTS: ReadonlyMap<string, string> = new Map([['./sdk.ts', './mcp-sdk.cjs']]);

/**
 * Bundles `input` and everything it imports into one script; returns the paths of the bundled files. The script is not an
 * ES module: V8's cache is for scripts, and an imported node:http loads undici for its WebSocket, 40 ms of each start.
 * @param external packages that the script loads from node_modules
 */
export async function bundle(
  input: string,
  output: string,
  { external = [] }: { external?: string[] } = {},
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
  });
  await bundler.close();
  return parts.flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []));
}
