import { chmodSync, existsSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../src/doctor/finding.ts';
import { REFUSAL_REASONS } from '../../src/domain/webhook-refusal.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { API_KEY, API_SECRET, startEmulated } from '../harness/livekit.ts';
import { runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { AGENT, postWebhook, roomWebhooks } from '../harness/webhooks.ts';

async function startTestLiveKit() {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const env = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: API_KEY, LIVEKIT_API_SECRET: API_SECRET };
  return { livekit, env };
}

/** Creates a working directory with a closed database of this version. */
function createDatabase() {
  const cwd = temporaryFolder();
  const file = join(cwd, 'data/hangup.db');
  openSqliteStore(file).close();
  return { cwd, file };
}

async function runDoctor(cwd: string, env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await runHangup(['doctor', '--json'], { cwd, env });
  const report: { ok: boolean; findings: Finding[] } = JSON.parse(stdout);
  expect(report.ok).toBe(code === 0);
  expect(stdout + stderr).not.toContain(API_SECRET);
  return {
    code,
    stderr,
    findingsOf: (check: string) => report.findings.filter((finding) => finding.check === check),
    levels: report.findings.map(({ check, level }) => `${check}: ${level}`),
  };
}

test('doctor reports ok next to a running server and changes nothing', async () => {
  const { livekit, env } = await startTestLiveKit();
  const cwd = temporaryFolder();
  const hangup = await serveHangup({ env, cwd });
  const { key } = JSON.parse(
    (await runHangup(['keys', 'create', '--org', 'acme', '--name', 'test', '--json'], { cwd })).stdout,
  );
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  await fetch(`${hangup.url}/api/v1/calls`, { method: 'POST', headers, body: '{"id":"c1"}' });
  await livekit.join('c1', 'caller');
  await livekit.join('unregistered', 'caller');
  await postWebhook(hangup.url, roomWebhooks('c1').joined(AGENT));
  const report = await runDoctor(cwd, env);
  expect({ code: report.code, stderr: report.stderr }).toEqual({ code: 0, stderr: '' });
  expect(report.levels).toEqual([
    'settings: ok',
    'database: ok',
    'integrity: ok',
    'durability: ok',
    'access: ok',
    'disk: ok',
    'livekit: ok',
    'credentials: ok',
    'clock: ok',
    'version: unknown',
    'rooms: ok',
    'deletions: ok',
    'webhooks: ok',
  ]);
  expect(report.findingsOf('rooms')[0]?.message).toBe(
    'LiveKit has 2 rooms: 1 of live calls, 0 of ended calls, 1 without a call',
  );
  expect(report.findingsOf('webhooks')[0]?.message).toMatch(/^last webhook received \d+ seconds? ago$/);
  expect(new Set(livekit.emulator.roomNames())).toEqual(new Set(['c1', 'unregistered']));
  const cancelled = await fetch(`${hangup.url}/api/v1/calls/c1`, { method: 'DELETE', headers });
  expect(cancelled.status).toBe(200);
});

test('doctor without --json prints a line for each check, the advice below it, and exits with 1 on a failure', async () => {
  const { code, stdout, stderr } = await runHangup(['doctor'], { cwd: temporaryFolder() });
  expect(code).toBe(1);
  expect(stderr).toBe('hangup: 1 of 3 checks failed\n');
  const [settings = '', database = '', advice = ''] = stdout.split('\n');
  expect(settings).toMatch(/^ok {7}settings {5}from the environment: none; no \.env file in this directory/);
  expect(database).toMatch(/^failure {2}database {5}database not found: \/.*\/data\/hangup\.db$/);
  expect(advice).toMatch(/^ {22}-> .*hangup migrate/);
});

test('doctor does not create a missing database', async () => {
  const cwd = temporaryFolder();
  const { code, findingsOf } = await runDoctor(cwd);
  expect(code).toBe(1);
  expect(findingsOf('database')).toEqual([expect.objectContaining({ level: 'failure' })]);
  expect(existsSync(join(cwd, 'data'))).toBe(false);
});

test('the settings finding lists names by source, without values, and warns of a world-readable .env', async () => {
  const { cwd } = createDatabase();
  writeFileSync(join(cwd, '.env'), `PORT=8123\nHOST=127.0.0.1\n`);
  chmodSync(join(cwd, '.env'), 0o644);
  const { code, findingsOf } = await runDoctor(cwd, { HOST: '127.0.0.2', LOG_LEVEL: 'warn' });
  expect(code).toBe(0);
  expect(findingsOf('settings')).toEqual([
    {
      check: 'settings',
      level: 'ok',
      message: expect.stringMatching(
        /^from the environment: HOST, LOG_LEVEL; from \/.*\/\.env: PORT; defaults for all others$/,
      ),
    },
    expect.objectContaining({ level: 'warning', advice: expect.stringMatching(/^chmod 600 .*\.env$/) }),
  ]);
});

test('invalid settings are reported together and no other check runs', async () => {
  const { cwd } = createDatabase();
  const { code, levels, findingsOf, stderr } = await runDoctor(cwd, { PORT: 'eighty', LIVEKIT_API_KEY: 'x' });
  expect(code).toBe(1);
  expect(stderr).toBe('hangup: 1 check failed; the others did not run\n');
  expect(levels).toEqual(['settings: failure', 'settings: failure']);
  expect(findingsOf('settings').map(({ message }) => message)).toEqual([
    'PORT: expected an integer from 0 to 65535',
    'LIVEKIT_URL: required with LIVEKIT_API_KEY; set it to the server of that key',
  ]);
});

test.each([
  [
    'the secret',
    { LIVEKIT_API_SECRET: 'wrong-wrong-wrong-wrong-wrong-wrong' },
    /rejected the token signature/,
  ],
  ['the key', { LIVEKIT_API_KEY: 'another' }, /does not have this API key/],
])('%s is wrong: doctor reports a failure of the credentials', async (_, wrong, message) => {
  const { cwd } = createDatabase();
  const { env } = await startTestLiveKit();
  const { code, findingsOf } = await runDoctor(cwd, { ...env, ...wrong });
  expect(code).toBe(1);
  expect(findingsOf('livekit')).toMatchObject([{ level: 'ok' }]);
  expect(findingsOf('credentials')).toMatchObject([
    { level: 'failure', message: expect.stringMatching(message) },
  ]);
  expect(findingsOf('rooms')).toEqual([]);
});

test('doctor reports a failure when nothing listens at LIVEKIT_URL', async () => {
  const { cwd } = createDatabase();
  const { livekit, env } = await startTestLiveKit();
  await livekit.emulator.pause();
  const { code, findingsOf } = await runDoctor(cwd, env);
  expect(code).toBe(1);
  expect(findingsOf('livekit')).toMatchObject([
    {
      level: 'failure',
      message: expect.stringMatching(/does not respond: .*connect ECONNREFUSED/),
    },
  ]);
  expect(findingsOf('credentials')).toEqual([]);
});

test('doctor reports a failure when LiveKit sends no response within 5 s', async () => {
  const { cwd } = createDatabase();
  const { livekit, env } = await startTestLiveKit();
  livekit.emulator.setFault('*', { kind: 'hang' });
  const { findingsOf } = await runDoctor(cwd, env);
  expect(findingsOf('livekit')).toMatchObject([
    { level: 'failure', message: expect.stringMatching(/no response within 5000 ms$/) },
  ]);
});

test.each([
  [404, 'Not found'],
  [200, '<html>welcome</html>'],
  [200, '{"rooms":"none"}'],
  [302, ''],
])(
  'doctor reports that LIVEKIT_URL is not a LiveKit server when it responds with %i %s',
  async (status, body) => {
    const { cwd } = createDatabase();
    const server = createServer((_, response) => response.writeHead(status, { location: '/' }).end(body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const { env } = await startTestLiveKit();
    const { code, findingsOf } = await runDoctor(cwd, { ...env, LIVEKIT_URL: `http://127.0.0.1:${port}` });
    expect(code).toBe(1);
    expect(findingsOf('livekit')).toMatchObject([
      {
        level: 'failure',
        message: expect.stringMatching(/is not a LiveKit server/),
        advice: 'check LIVEKIT_URL',
      },
    ]);
  },
);

test('doctor warns that hangup uses the emulator when LIVEKIT_URL is not set', async () => {
  const { cwd } = createDatabase();
  const { code, findingsOf } = await runDoctor(cwd);
  expect(code).toBe(0);
  expect(findingsOf('livekit')).toMatchObject([
    { level: 'warning', message: expect.stringMatching(/emulator/) },
  ]);
});

test('doctor warns of rooms of ended calls, an overdue deletion and a discarded deletion', async () => {
  const { cwd, file } = createDatabase();
  const { livekit, env } = await startTestLiveKit();
  for (const name of ['ended', 'live']) await livekit.join(name, 'caller');
  const store = openSqliteStore(file, { clock: { now: () => Date.now() - 600_000 } });
  const { organizationId, id: apiKeyId } = await insertApiKey(store);
  for (const id of ['ended', 'live']) {
    await store.changeCall({ kind: 'register', call: buildCall({ id, organizationId }), apiKeyId });
  }
  await store.changeCall({
    kind: 'cancel',
    callId: 'ended',
    organizationId,
    apiKeyId,
    reason: null,
    leaseMs: 0,
    idempotency: null,
  });
  const late = await runDoctor(cwd, env);
  expect(late.code).toBe(0);
  expect(late.findingsOf('rooms')).toMatchObject([
    { level: 'warning', message: 'LiveKit has 2 rooms: 1 of live calls, 1 of ended calls, 0 without a call' },
  ]);
  expect(late.findingsOf('deletions')).toMatchObject([
    { level: 'warning', message: 'a call ended 10 minutes ago, and its room is not deleted yet' },
  ]);
  expect(late.findingsOf('webhooks')).toMatchObject([
    {
      level: 'warning',
      message: 'no LiveKit webhook on record; 1 live call; statuses are updated by reconciliation only',
    },
  ]);
  const { stdout } = await runHangup(['doctor'], { cwd, env });
  expect([...stdout.matchAll(/^ {27}(\w+): \w/gm)].map(([, reason]) => reason)).toEqual(REFUSAL_REASONS);
  const settlement = { state: 'discarded', lastError: 'unavailable' } as const;
  await store.settleDeletion({
    callId: 'ended',
    attempt: 1,
    settlement,
    wasRescued: false,
    keptBecause: null,
  });
  store.close();
  expect((await runDoctor(cwd, env)).findingsOf('deletions')).toMatchObject([
    { level: 'warning', message: 'hangup stopped retrying 1 room deletion' },
  ]);
});

test('doctor reports a failure of the integrity of a damaged database', async () => {
  const { cwd, file } = createDatabase();
  // In the middle of a page after the pages of the schema.
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(64, 0xff), 0, 64, statSync(file).size - 4_096);
  const { code, findingsOf } = await runDoctor(cwd);
  expect(code).toBe(1);
  expect(findingsOf('integrity')).toMatchObject([
    { level: 'failure', message: expect.stringMatching(/^the database is damaged: /) },
  ]);
  expect(findingsOf('webhooks')).toEqual([]);
});

test.each([
  ['not a database', (file: string) => writeFileSync(file, 'hello, world '.repeat(1_000)), /^cannot read/],
  ['empty', (file: string) => writeFileSync(file, ''), /is not a hangup database/],
  [
    "another program's database",
    (file: string) => {
      writeFileSync(file, '');
      const client = new SqliteDatabase(file);
      client.exec('CREATE TABLE songs (id INTEGER)');
      client.close();
    },
    /is not a hangup database/,
  ],
  [
    "a newer version's database",
    (file: string) => {
      const client = new SqliteDatabase(file);
      client.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('future', 1)");
      client.close();
    },
    /schema of a newer/,
  ],
])('doctor reports a failure and changes nothing when the file is %s', async (_, replace, message) => {
  const { cwd, file } = createDatabase();
  replace(file);
  const before = readFileSync(file);
  const { code, findingsOf } = await runDoctor(cwd);
  expect(code).toBe(1);
  expect(findingsOf('database')).toMatchObject([
    { level: 'failure', message: expect.stringMatching(message) },
  ]);
  expect(readFileSync(file).equals(before)).toBe(true);
});

test('doctor warns of an older schema and does not migrate it', async () => {
  const { cwd, file } = createDatabase();
  const client = new SqliteDatabase(file);
  client.exec('DELETE FROM __drizzle_migrations WHERE id = (SELECT max(id) FROM __drizzle_migrations)');
  const count = () => client.prepare('SELECT count(*) AS n FROM __drizzle_migrations').get();
  const before = count();
  const { code, findingsOf } = await runDoctor(cwd);
  expect(code).toBe(0);
  expect(findingsOf('database')).toMatchObject([
    { level: 'warning', advice: expect.stringMatching(/hangup migrate/) },
  ]);
  expect(count()).toEqual(before);
  client.close();
});

test('doctor reports a failure when the database is world-readable', async () => {
  const { cwd, file } = createDatabase();
  chmodSync(file, 0o644);
  const { code, findingsOf } = await runDoctor(cwd);
  expect(code).toBe(1);
  expect(findingsOf('access')).toMatchObject([
    { level: 'failure', advice: expect.stringMatching(/^chmod 600 .*hangup\.db/) },
  ]);
});

test('doctor does not wait for a writing process and changes no byte of the files', async () => {
  const { cwd, file } = createDatabase();
  const client = new SqliteDatabase(file);
  client.pragma('user_version = 0');
  client.exec('BEGIN IMMEDIATE');
  const files = [file, `${file}-wal`];
  const before = files.map((path) => readFileSync(path));
  expect(before.map(({ length }) => length > 0)).toEqual([true, true]);
  const { code, findingsOf } = await runDoctor(cwd);
  expect(code).toBe(0);
  expect(findingsOf('integrity')).toMatchObject([{ level: 'ok' }]);
  expect(files.map((path, i) => before[i]?.equals(readFileSync(path)))).toEqual([true, true]);
  client.exec('ROLLBACK');
  client.close();
});
