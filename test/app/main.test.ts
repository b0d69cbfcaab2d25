import { execFile } from 'node:child_process';
import { expect, test } from 'vitest';
import { MAIN } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/** Runs main.ts with another Node version in process.versions. */
function runOn(version: string): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const override = `Object.defineProperty(process.versions, 'node', { value: '${version}' });
    Object.defineProperty(process, 'version', { value: 'v${version}' });
    process.dlopen = () => { throw new Error('a native module was loaded'); };`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(override)}`, MAIN, 'version'];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: temporaryFolder() }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

test.each([
  ['an uncaught error', "throw new Error('a bug')"],
  ['an unhandled rejection', "Promise.reject(new Error('a bug'))"],
  ['a thrown string', "throw 'a bug'"],
])('%s exits a server with 1 and logs one fatal line', async (_, bug) => {
  // hangup handles uncaught errors only after its start.
  const preload = `const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = (chunk, ...rest) => {
      if (String(chunk).includes('server started')) setTimeout(() => { ${bug}; }, 10);
      return write(chunk, ...rest);
    };`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`, MAIN, 'serve'];
  const env = { PATH: process.env.PATH, PORT: '0' };
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(process.execPath, args, { cwd: temporaryFolder(), env }, (error, _, stderr) =>
      resolve({ code: error?.code ?? 0, stderr }),
    );
  });
  expect(code).toBe(1);
  const lines = stderr.trim().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    level: 'fatal',
    err: expect.stringContaining('a bug'),
    msg: 'uncaught error; exiting',
  });
});

test.each(['20.20.2', '22.20.0', '26.8.1'])(
  'main.ts prints one line and exits with 1 on Node %s',
  async (version) => {
    const { code, stdout, stderr } = await runOn(version);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^hangup requires Node\.js 26\.9 or newer; this is v\d+\.\d+\.\d+\. .*\n$/);
  },
);

test.each(['26.9.0', '27.0.0'])('main.ts runs on Node %s', async (version) => {
  expect(await runOn(version)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d/) });
});
