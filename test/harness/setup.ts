import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundle } from '../../scripts/build/bundle.ts';
import { fastestFolder } from './fastest-folder.ts';
import { stopSharedServer } from './postgres-server.ts';

/* Runs once before the first test file: creates the temporary folder and the bundle that tests start as processes. */

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of all temporary files of this run. */
    temporaryFolder: string;
    /** Path of hangup as one script, which starts in a fifth of the time that the source takes. */
    bundle: string;
  }
}

const ROOT = resolve(import.meta.dirname, '../..');
export default async function setUp({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(fastestFolder(), 'hangup-tests-'));
  // Tests start processes as the user nobody in folders below.
  chmodSync(folder, 0o711);
  const built = join(folder, 'bundle');
  mkdirSync(built);
  // The script reads these files from its own folder, as in the single file.
  for (const name of ['package.json', 'drizzle', 'docs', 'dist', 'node_modules']) {
    symlinkSync(join(ROOT, name), join(built, name));
  }
  const script = join(built, 'hangup.cjs');
  // The addon of SQLite is a separate file.
  const external = ['better-sqlite3'];
  await Promise.all([
    bundle('src/main.ts', script, { external }),
    bundle('src/store/sqlite/store-thread.ts', join(built, 'store-thread.cjs'), { external }),
    bundle('src/cli/mcp/sdk.ts', join(built, 'mcp-sdk.cjs')),
  ]);
  provide('temporaryFolder', folder);
  provide('bundle', script);
  return async () => {
    await stopSharedServer(folder);
    rmSync(folder, { recursive: true, force: true });
  };
}
