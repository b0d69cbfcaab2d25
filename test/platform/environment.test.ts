import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const SECRET = 'hunter2hunter2hunter2hunter2hunter2';

test('the first setting of a .env with a byte order mark is read', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, '.env'), '\ufeffDATABASE_URL=file:other.db\r\nLOG_LEVEL=warn\r\n');
  expect(await runHangup(['migrate'], { cwd })).toMatchObject({
    code: 0,
    stdout: 'other.db is up to date\n',
    stderr: '',
  });
});

test('serve exits with 2 and names a secret with a line end or with quotes', async () => {
  const cwd = temporaryFolder();
  const livekit = { LIVEKIT_URL: 'ws://127.0.0.1:1', LIVEKIT_API_KEY: 'k' };
  const withLineEnd = await runHangup(['serve'], {
    cwd,
    env: { ...livekit, LIVEKIT_API_SECRET: `${SECRET}\n` },
  });
  expect(withLineEnd).toMatchObject({ code: 2, stdout: '' });
  expect(withLineEnd.stderr).toMatch(
    /^hangup: Settings are wrong:\n {2}LIVEKIT_API_SECRET: expected without white/,
  );
  writeFileSync(join(cwd, '.env'), `LIVEKIT_API_SECRET='"${SECRET}"'\n`);
  const withQuotes = await runHangup(['serve'], { cwd, env: livekit });
  expect(withQuotes).toMatchObject({ code: 2, stdout: '' });
  expect(withQuotes.stderr).toMatch(
    /^hangup: Settings are wrong:\n {2}LIVEKIT_API_SECRET: expected without white/,
  );
  writeFileSync(join(cwd, '.env'), `LIVEKIT_API_SECRET="${SECRET}\n`);
  const unclosed = await runHangup(['serve'], { cwd, env: livekit });
  expect(unclosed).toMatchObject({ code: 2, stdout: '' });
  expect(unclosed.stderr).toContain(
    'LIVEKIT_API_SECRET: expected a closing quote on the same line (.env line 1)',
  );
  for (const { stderr } of [withLineEnd, withQuotes, unclosed]) expect(stderr).not.toContain('hunter2');
});

test('serve exits with 2 when .env is not text', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, '.env'), Buffer.from('PORT=1', 'utf16le'));
  const { code, stderr } = await runHangup(['serve'], { cwd });
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: 'hangup: Settings are wrong:\n  .env: expected a text in UTF-8; save it as one\n',
  });
});

const MEANINGLESS = {
  file: [
    'LIVEKIT_API_SECRETS=x',
    'PROT 8080',
    'COLOR=red',
    'NODE_EXTRA_CA_CERTS=/ca.pem',
    'LOG_LEVEL=info',
    'LOG_LEVEL=info',
  ].join('\n'),
  env: { HANGUP_URI: 'x', LIVEKIT_CONFIG: 'x', ALL_PROXY: 'http://127.0.0.1:1', KEEP_ENDED_CALL_DAYS: '1' },
  warnings: [
    '.env line 2: expected NAME=value; the line has no effect',
    '.env line 6: LOG_LEVEL is set again; line 5 has no effect',
    '.env line 1: LIVEKIT_API_SECRETS is not a setting of hangup, and has no effect; is LIVEKIT_API_SECRET meant?',
    '.env line 4: NODE_EXTRA_CA_CERTS has no effect in .env: set it in the environment of hangup',
    '.env: these names are not settings of hangup: COLOR (line 3)',
    'HANGUP_URI is not a setting of hangup, and has no effect; is HANGUP_URL meant?',
    'LIVEKIT_CONFIG is not a setting of hangup, and has no effect',
    'KEEP_ENDED_CALL_DAYS is not a setting of hangup, and has no effect; is KEEP_ENDED_CALLS_DAYS meant?',
    'ALL_PROXY has no effect: set HTTPS_PROXY, or HTTP_PROXY for an http LiveKit',
  ],
};

test('serve, the other commands and the doctor name settings without effect', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, '.env'), MEANINGLESS.file);
  const { env, warnings } = MEANINGLESS;
  const { output } = await serveHangup({ cwd, env });
  const logged = output()
    .split('\n')
    .filter((line) => line.includes('something is set without effect'))
    .map((line) => (JSON.parse(line) as { level: string; cause: string }).cause);
  expect(new Set(logged)).toEqual(new Set(warnings));
  const command = await runHangup(['keys', 'list', '--json'], { cwd, env });
  expect(command).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\[/) });
  expect(new Set(command.stderr.split('\n').slice(0, -1))).toEqual(
    new Set(warnings.map((warning) => `hangup: warning: ${warning}`)),
  );
  const doctor = await runHangup(['doctor', '--json'], { cwd, env });
  const { findings } = JSON.parse(doctor.stdout) as {
    findings: { check: string; level: string; message: string }[];
  };
  expect(
    findings
      .filter(({ check, level }) => check === 'settings' && level === 'warning')
      .map(({ message }) => message),
  ).toEqual(expect.arrayContaining(warnings));
});
