/**
 * Writes clients/typescript/dist, the files of the package @hangup/client. Needs the types of the server in dist/types, which
 * `npm run types` writes first.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { flattenRouter } from './typescript-client/router-types.ts';

const ROOT = resolve(import.meta.dirname, '..');
const CLIENT = join(ROOT, 'clients/typescript');
const DIST = join(CLIENT, 'dist');

rmSync(DIST, { recursive: true, force: true });
execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', CLIENT], {
  stdio: 'inherit',
});
for (const [file, text] of flattenRouter(join(ROOT, 'dist/types'))) {
  const path = join(DIST, 'server-types', file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
appendFileSync(join(DIST, 'index.d.ts'), "export type { AppRouter } from './server-types/api/router.js';\n");
// npm packs a license only from the folder of the package.
copyFileSync(join(ROOT, 'LICENSE'), join(CLIENT, 'LICENSE'));
