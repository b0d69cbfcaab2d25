import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryFolder } from './harness/temporary.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** Compiles a client's file, in a project that has hangup and @trpc/client and nothing else; returns the errors. */
async function compile(source: string): Promise<string> {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules/hangup'));
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

const CLIENT = `
import { createTRPCClient, httpBatchLink } from '@trpc/client';
import type { AppRouter } from 'hangup';
const hangup = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: 'http://127.0.0.1:8080/trpc' })] });
const { status } = await hangup.calls.get.query({ callId: 'x' });
`;

test("a client's project, which knows nothing of ours, sees literal statuses", async () => {
  expect(await compile(`${CLIENT} if (status === 'no_answer') console.log(status);`)).toBe('');
  expect(await compile(`${CLIENT} if (status === 'noanswer') console.log(status);`)).toMatch(
    /client\.ts.*error TS2367/,
  );
  expect(await compile(`${CLIENT} await hangup.calls.cancel.mutate({ id: 'x' });`)).toMatch(/callId/);
});
