import { existsSync, writeFileSync } from 'node:fs';
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

test('serve exits with 2 and names the secret when it contains a line end or quotes', async () => {
  const cwd = temporaryFolder();
  const livekit = { LIVEKIT_URL: 'ws://127.0.0.1:1', LIVEKIT_API_KEY: 'k' };
  const withLineEnd = await runHangup(['serve'], {
    cwd,
    env: { ...livekit, LIVEKIT_API_SECRET: `${SECRET}\n` },
  });
  expect(withLineEnd).toMatchObject({ code: 2, stdout: '' });
  expect(withLineEnd.stderr).toMatch(/^hangup: Invalid settings:\n {2}LIVEKIT_API_SECRET: expected no white/);
  writeFileSync(join(cwd, '.env'), `LIVEKIT_API_SECRET='"${SECRET}"'\n`);
  const withQuotes = await runHangup(['serve'], { cwd, env: livekit });
  expect(withQuotes).toMatchObject({ code: 2, stdout: '' });
  expect(withQuotes.stderr).toMatch(/^hangup: Invalid settings:\n {2}LIVEKIT_API_SECRET: expected no white/);
  writeFileSync(join(cwd, '.env'), `LIVEKIT_API_SECRET="${SECRET}\n`);
  const unclosed = await runHangup(['serve'], { cwd, env: livekit });
  expect(unclosed).toMatchObject({ code: 2, stdout: '' });
  expect(unclosed.stderr).toContain(
    'LIVEKIT_API_SECRET: expected a closing quote on the same line (.env line 1)',
  );
  for (const { stderr } of [withLineEnd, withQuotes, unclosed]) expect(stderr).not.toContain('hunter2');
});

test('serve exits with 2 when .env is not UTF-8 text', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, '.env'), Buffer.from('PORT=1', 'utf16le'));
  const { code, stderr } = await runHangup(['serve'], { cwd });
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: 'hangup: Invalid settings:\n  .env: expected UTF-8 text; save the file as UTF-8\n',
  });
});

const WITHOUT_EFFECT = {
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
    '.env line 6: LOG_LEVEL occurs twice; line 5 has no effect',
    '.env line 1: LIVEKIT_API_SECRETS is not a hangup setting and has no effect; did you mean LIVEKIT_API_SECRET?',
    '.env line 4: NODE_EXTRA_CA_CERTS has no effect in .env; set it in the environment of hangup',
    '.env: these names are not hangup settings: COLOR (line 3)',
    'HANGUP_URI is not a hangup setting and has no effect; did you mean HANGUP_URL?',
    'LIVEKIT_CONFIG is not a hangup setting and has no effect',
    'KEEP_ENDED_CALL_DAYS is not a hangup setting and has no effect; did you mean CALL_RETENTION_DAYS?',
    'ALL_PROXY has no effect; set HTTPS_PROXY, or HTTP_PROXY if LIVEKIT_URL is ws or http',
  ],
};

test('names and lines without effect are warnings in the log, on standard error and in the doctor', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, '.env'), WITHOUT_EFFECT.file);
  const { env, warnings } = WITHOUT_EFFECT;
  const { output } = await serveHangup({ cwd, env });
  const logged = output()
    .split('\n')
    .filter((line) => line.includes('settings warning'))
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

const RENAMED = {
  file: 'KEEP_AUDIT_DAYS=30\nROOM_GUARD_MS=\nAUDIT_RETENTION_DAYS=30\n',
  env: { COMPARE_SCHEDULE: '*/20 * * * * *', LIVEKIT_REQUEST_TIMEOUT_MS: '2000', RETRY_FIRST_DELAY_MS: '' },
  warnings: [
    '.env line 1: KEEP_AUDIT_DAYS is the old name of AUDIT_RETENTION_DAYS; remove KEEP_AUDIT_DAYS, because AUDIT_RETENTION_DAYS has the same value',
    'COMPARE_SCHEDULE is the old name of RECONCILE_SCHEDULE; rename COMPARE_SCHEDULE to RECONCILE_SCHEDULE, because the next release ignores the old name',
    'LIVEKIT_REQUEST_TIMEOUT_MS is the old name of LIVEKIT_CANCEL_TIMEOUT_MS; rename LIVEKIT_REQUEST_TIMEOUT_MS to LIVEKIT_CANCEL_TIMEOUT_MS, because the next release ignores the old name',
  ],
};

test('old names of settings are warnings in the log, on standard error and in the doctor', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, '.env'), RENAMED.file);
  const { env, warnings } = RENAMED;
  const { output } = await serveHangup({ cwd, env });
  const logged = output()
    .split('\n')
    .filter((line) => line.includes('settings warning'))
    .map((line) => (JSON.parse(line) as { level: string; cause: string }).cause);
  expect(logged).toHaveLength(warnings.length);
  expect(new Set(logged)).toEqual(new Set(warnings));
  const command = await runHangup(['keys', 'list', '--json'], { cwd, env });
  expect(command).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\[/) });
  const lines = command.stderr.split('\n').slice(0, -1);
  expect(lines).toHaveLength(warnings.length);
  expect(new Set(lines)).toEqual(new Set(warnings.map((warning) => `hangup: warning: ${warning}`)));
  const { stdout } = await runHangup(['doctor', '--json'], { cwd, env });
  const { findings } = JSON.parse(stdout) as { findings: { check: string; message: string }[] };
  const messages = findings.filter(({ check }) => check === 'settings').map(({ message }) => message);
  expect(messages).toEqual(expect.arrayContaining(warnings));
});

test('different values under the old and the new name exit with 2 and name both', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, '.env'), 'KEEP_ENDED_CALLS_DAYS=30\n');
  const env = { CALL_RETENTION_DAYS: '60', DATABASE_URL: 'file:hangup.db' };
  for (const args of [['serve'], ['migrate']]) {
    expect(await runHangup(args, { cwd, env })).toEqual({
      code: 2,
      stdout: '',
      stderr:
        'hangup: Invalid settings:\n  CALL_RETENTION_DAYS conflicts with its old name KEEP_ENDED_CALLS_DAYS; remove KEEP_ENDED_CALLS_DAYS\n',
    });
  }
  expect(existsSync(join(cwd, 'hangup.db'))).toBe(false);
});
