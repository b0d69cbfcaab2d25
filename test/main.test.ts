import { execFile } from 'node:child_process';
import { expect, test } from 'vitest';
import { MAIN } from './harness/process.ts';
import { temporaryFolder } from './harness/temporary.ts';

/** main.ts on this Node, made to believe that it is another one. */
function runOn(version: string): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const disguise = `Object.defineProperty(process.versions, 'node', { value: '${version}' });
    Object.defineProperty(process, 'version', { value: 'v${version}' });
    process.dlopen = () => { throw new Error('something native was loaded'); };`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(disguise)}`, MAIN, 'version'];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: temporaryFolder() }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

test.each(['20.20.2', '22.20.0', '26.8.1'])('Node %s is refused in one line, with 1', async (version) => {
  const { code, stdout, stderr } = await runOn(version);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^hangup needs Node\.js 26\.9 or newer, and this is v\d+\.\d+\.\d+: .*\n$/);
});

test.each(['26.9.0', '27.0.0'])('Node %s is good', async (version) => {
  expect(await runOn(version)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d/) });
});
