import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const ENTRY = 'api/router.d.ts';
/** The packages whose types a user of tRPC has. */
const ALLOWED_PACKAGES = ['@trpc/server', '@trpc/server/unstable-core-do-not-import'];
/** Types of the server that no client needs. tRPC requires objects. */
const INTERNAL = /import\("[./]*trpc\.ts"\)\.(?:Context|ProcedureMeta)\b/g;

/**
 * Returns the declarations of the server that AppRouter needs, by their paths below the folder of the server's types.
 * @throws Error if the declarations need zod or another package of the server
 */
export function flattenRouter(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  const add = (file: string) => {
    if (files.has(file)) return;
    const text = typesIn(readFileSync(join(folder, file), 'utf8').replaceAll(INTERNAL, 'object'));
    const imports = [...text.matchAll(/(?:import\(|from |import )["']([^"']+)["']/g)].map(
      ([, name = '']) => name,
    );
    files.set(file, text.replaceAll(/(["']\.[^"']*)\.ts(["'])/g, '$1.js$2'));
    for (const name of imports) {
      if (name.startsWith('.')) add(normalize(join(dirname(file), name)).replace(/\.ts$/, '.d.ts'));
      else if (!ALLOWED_PACKAGES.includes(name))
        throw new Error(`${file} imports ${name}: AppRouter must not need it`);
    }
  };
  add(ENTRY);
  return files;
}

/** Returns the declarations without comments and without functions, which the package does not have. */
function typesIn(declarations: string): string {
  return declarations
    .replaceAll(/^[ \t]*\/\*[\s\S]*?\*\/\n/gm, '')
    .split(/^(?=export )/m)
    .filter((statement) => !statement.startsWith('export declare function'))
    .join('');
}
