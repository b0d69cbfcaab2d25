import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from './temporary.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** Compiles a file in a project with only hangup, @hangup/client and @trpc/client; returns the errors. */
export async function compileClient(source: string): Promise<string> {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules/hangup'));
  symlinkSync(join(ROOT, 'node_modules/@hangup'), join(folder, 'node_modules/@hangup'));
  symlinkSync(join(ROOT, 'node_modules/@trpc'), join(folder, 'node_modules/@trpc'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'client.ts'), source);
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const options = '--noEmit --strict --module nodenext --target esnext --lib esnext,dom'.split(' ');
  try {
    await promisify(execFile)(process.execPath, [tsc, ...options, 'client.ts'], {
      cwd: folder,
    });
    return '';
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error);
  }
}
