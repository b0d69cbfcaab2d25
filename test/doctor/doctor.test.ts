import { chmodSync, existsSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../src/doctor/diagnosis.ts';
import { REFUSAL_REASONS } from '../../src/domain/webhook-refusal.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { aCall } from '../harness/calls.ts';
import { API_KEY, API_SECRET, startEmulated } from '../harness/livekit.ts';
import { runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { AGENT, post, roomTold } from '../harness/webhooks.ts';

async function aLiveKit() {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const env = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: API_KEY, LIVEKIT_API_SECRET: API_SECRET };
  return { livekit, env };
}

/** A working directory with a database of this version, closed. */
function aDatabase() {
  const cwd = temporaryFolder();
  const file = join(cwd, 'data/hangup.db');
  openSqliteStore(file).close();
  return { cwd, file };
}

async function seeDoctor(cwd: string, env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await runHangup(['doctor', '--json'], { cwd, env });
  const said: { ok: boolean; findings: Finding[] } = JSON.parse(stdout);
  expect(said.ok).toBe(code === 0);
  expect(stdout + stderr).not.toContain(API_SECRET);
  const of = (check: string) => said.findings.filter((finding) => finding.check === check);
  return { code, stderr, of, levels: said.findings.map(({ check, level }) => `${check}: ${level}`) };
}

test('all is well beside a running hangup, which is not disturbed', async () => {
  const { livekit, env } = await aLiveKit();
  const cwd = temporaryFolder();
  const hangup = await serveHangup({ env, cwd });
  const { key } = JSON.parse(
    (await runHangup(['keys', 'create', '--org', 'acme', '--name', 'test', '--json'], { cwd })).stdout,
  );
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  await fetch(`${hangup.url}/api/v1/calls`, { method: 'POST', headers, body: '{"id":"c1"}' });
  await livekit.join('c1', 'caller');
  await livekit.join('somebody-elses', 'caller');
  await post(hangup.url, roomTold('c1').joined(AGENT));
  const seen = await seeDoctor(cwd, env);
  expect({ code: seen.code, stderr: seen.stderr }).toEqual({ code: 0, stderr: '' });
  expect(seen.levels).toEqual([
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
  expect(seen.of('rooms')[0]?.message).toBe(
    'LiveKit has 2 rooms: 1 of live calls, 0 of ended calls, 1 not on record',
  );
  expect(seen.of('webhooks')[0]?.message).toMatch(/^the last one came \d+ s ago$/);
  expect(new Set(livekit.emulator.roomNames())).toEqual(new Set(['c1', 'somebody-elses']));
  const cancelled = await fetch(`${hangup.url}/api/v1/calls/c1`, { method: 'DELETE', headers });
  expect(cancelled.status).toBe(200);
});

test('without --json: a line for each check, what to do below it, and 1', async () => {
  const { code, stdout, stderr } = await runHangup(['doctor'], { cwd: temporaryFolder() });
  expect(code).toBe(1);
  expect(stderr).toBe('hangup: 1 of 3 checks failed\n');
  const [settings = '', database = '', advice = ''] = stdout.split('\n');
  expect(settings).toMatch(
    /^ok {7}settings {5}from the environment: nothing; no file \.env in this directory/,
  );
  expect(database).toMatch(/^failure {2}database {5}there is none at \/.*\/data\/hangup\.db$/);
  expect(advice).toMatch(/^ {22}-> .*hangup migrate/);
});

test('a missing database is not made', async () => {
  const cwd = temporaryFolder();
  const { code, of } = await seeDoctor(cwd);
  expect(code).toBe(1);
  expect(of('database')).toEqual([expect.objectContaining({ level: 'failure' })]);
  expect(existsSync(join(cwd, 'data'))).toBe(false);
});

test('what is set comes from .env and the environment, by name and never by value', async () => {
  const { cwd } = aDatabase();
  writeFileSync(join(cwd, '.env'), `PORT=8123\nHOST=127.0.0.1\n`);
  chmodSync(join(cwd, '.env'), 0o644);
  const { code, of } = await seeDoctor(cwd, { HOST: '127.0.0.2', LOG_LEVEL: 'warn' });
  expect(code).toBe(0);
  expect(of('settings')).toEqual([
    {
      check: 'settings',
      level: 'ok',
      message: expect.stringMatching(
        /^from the environment: HOST, LOG_LEVEL; from \/.*\/\.env: PORT; defaults for the rest$/,
      ),
    },
    expect.objectContaining({ level: 'warning', advice: expect.stringMatching(/^chmod 600 .*\.env$/) }),
  ]);
});

test('wrong settings are told all at once, and nothing else can be looked at', async () => {
  const { cwd } = aDatabase();
  const { code, levels, of } = await seeDoctor(cwd, { PORT: 'eighty', LIVEKIT_API_KEY: 'x' });
  expect(code).toBe(1);
  expect(levels).toEqual(['settings: failure', 'settings: failure']);
  expect(of('settings').map(({ message }) => message)).toEqual([
    'PORT: expected a whole number from 0 to 65535',
    'LIVEKIT_URL: expected with LIVEKIT_API_KEY: the server that the key is for',
  ]);
});

test.each([
  ['the secret', { LIVEKIT_API_SECRET: 'wrong-wrong-wrong-wrong-wrong-wrong' }, /not take what is signed/],
  ['the key', { LIVEKIT_API_KEY: 'another' }, /does not know the key/],
])('%s is wrong', async (_, wrong, message) => {
  const { cwd } = aDatabase();
  const { env } = await aLiveKit();
  const { code, of } = await seeDoctor(cwd, { ...env, ...wrong });
  expect(code).toBe(1);
  expect(of('livekit')).toMatchObject([{ level: 'ok' }]);
  expect(of('credentials')).toMatchObject([{ level: 'failure', message: expect.stringMatching(message) }]);
  expect(of('rooms')).toEqual([]);
});

test('nothing listens at LIVEKIT_URL', async () => {
  const { cwd } = aDatabase();
  const { livekit, env } = await aLiveKit();
  await livekit.emulator.pause();
  const { code, of } = await seeDoctor(cwd, env);
  expect(code).toBe(1);
  expect(of('livekit')).toMatchObject([
    {
      level: 'failure',
      message: expect.stringMatching(/does not answer: the connection failed: connect ECONNREFUSED/),
    },
  ]);
  expect(of('credentials')).toEqual([]);
});

test('a LiveKit that hangs is not waited for', async () => {
  const { cwd } = aDatabase();
  const { livekit, env } = await aLiveKit();
  livekit.emulator.setFault('*', { kind: 'hang' });
  const { of } = await seeDoctor(cwd, env);
  expect(of('livekit')).toMatchObject([
    { level: 'failure', message: expect.stringMatching(/no answer within 5000 ms$/) },
  ]);
});

test.each([
  [404, 'Not found'],
  [200, '<html>welcome</html>'],
  [200, '{"rooms":"none"}'],
  [302, ''],
])('what answers at LIVEKIT_URL is no LiveKit: %i %s', async (status, body) => {
  const { cwd } = aDatabase();
  const server = createServer((_, response) => response.writeHead(status, { location: '/' }).end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const { env } = await aLiveKit();
  const { code, of } = await seeDoctor(cwd, { ...env, LIVEKIT_URL: `http://127.0.0.1:${port}` });
  expect(code).toBe(1);
  expect(of('livekit')).toMatchObject([
    { level: 'failure', message: expect.stringMatching(/is no LiveKit server/), advice: 'check LIVEKIT_URL' },
  ]);
});

test('no LiveKit is set', async () => {
  const { cwd } = aDatabase();
  const { code, of } = await seeDoctor(cwd);
  expect(code).toBe(0);
  expect(of('livekit')).toMatchObject([{ level: 'warning', message: expect.stringMatching(/emulator/) }]);
});

test('rooms of ended calls are alive, a deletion is late, one was given up', async () => {
  const { cwd, file } = aDatabase();
  const { livekit, env } = await aLiveKit();
  for (const name of ['ended', 'live']) await livekit.join(name, 'caller');
  const store = openSqliteStore(file, { clock: { now: () => Date.now() - 600_000 } });
  const { organizationId, id: apiKeyId } = await store.createApiKey({
    id: 'key_1',
    organizationName: 'acme',
    organizationIdIfNew: 'org_1',
    name: 'test',
    hash: '0'.repeat(64),
    scopes: [],
    expiresAt: null,
    now: 1,
  });
  for (const id of ['ended', 'live']) {
    await store.changeCall({ kind: 'register', call: aCall({ id, organizationId }), apiKeyId });
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
  const late = await seeDoctor(cwd, env);
  expect(late.code).toBe(0);
  expect(late.of('rooms')).toMatchObject([
    { level: 'warning', message: 'LiveKit has 2 rooms: 1 of live calls, 1 of ended calls, 0 not on record' },
  ]);
  expect(late.of('deletions')).toMatchObject([
    { level: 'warning', message: 'a call ended 10 min ago, and its room is still not gone' },
  ]);
  expect(late.of('webhooks')).toMatchObject([
    { level: 'warning', message: 'none came within the last two days, and 1 call lives' },
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
  expect((await seeDoctor(cwd, env)).of('deletions')).toMatchObject([
    { level: 'warning', message: '1 room could not be deleted for so long that hangup gave up' },
  ]);
});

test('a damaged database', async () => {
  const { cwd, file } = aDatabase();
  // In the middle of a page behind the schema's.
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(64, 0xff), 0, 64, statSync(file).size - 4_096);
  const { code, of } = await seeDoctor(cwd);
  expect(code).toBe(1);
  expect(of('integrity')).toMatchObject([
    { level: 'failure', message: expect.stringMatching(/^the database is damaged: /) },
  ]);
  expect(of('webhooks')).toEqual([]);
});

test.each([
  [
    'no database at all',
    (file: string) => writeFileSync(file, 'hello, world '.repeat(1_000)),
    /cannot be read/,
  ],
  ['an empty file', (file: string) => writeFileSync(file, ''), /is no database of hangup/],
  [
    "another program's",
    (file: string) => {
      writeFileSync(file, '');
      const client = new SqliteDatabase(file);
      client.exec('CREATE TABLE songs (id INTEGER)');
      client.close();
    },
    /is no database of hangup/,
  ],
  [
    'that of a newer hangup',
    (file: string) => {
      const client = new SqliteDatabase(file);
      client.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('of tomorrow', 1)");
      client.close();
    },
    /made by a newer/,
  ],
])('a file that is %s', async (_, spoil, message) => {
  const { cwd, file } = aDatabase();
  spoil(file);
  const before = readFileSync(file);
  const { code, of } = await seeDoctor(cwd);
  expect(code).toBe(1);
  expect(of('database')).toMatchObject([{ level: 'failure', message: expect.stringMatching(message) }]);
  expect(readFileSync(file).equals(before)).toBe(true);
});

test('an older schema is no failure, and is not brought up to date', async () => {
  const { cwd, file } = aDatabase();
  const client = new SqliteDatabase(file);
  client.exec('DELETE FROM __drizzle_migrations WHERE id = (SELECT max(id) FROM __drizzle_migrations)');
  const count = () => client.prepare('SELECT count(*) AS n FROM __drizzle_migrations').get();
  const before = count();
  const { code, of } = await seeDoctor(cwd);
  expect(code).toBe(0);
  expect(of('database')).toMatchObject([
    { level: 'warning', advice: expect.stringMatching(/hangup migrate/) },
  ]);
  expect(count()).toEqual(before);
  client.close();
});

test('a database that every user may read', async () => {
  const { cwd, file } = aDatabase();
  chmodSync(file, 0o644);
  const { code, of } = await seeDoctor(cwd);
  expect(code).toBe(1);
  expect(of('access')).toMatchObject([
    { level: 'failure', advice: expect.stringMatching(/^chmod 600 .*hangup\.db/) },
  ]);
});

test('while another process writes: the doctor waits for nothing, and changes no byte', async () => {
  const { cwd, file } = aDatabase();
  const client = new SqliteDatabase(file);
  client.pragma('user_version = 0');
  client.exec('BEGIN IMMEDIATE');
  const files = [file, `${file}-wal`];
  const before = files.map((one) => readFileSync(one));
  expect(before.map(({ length }) => length > 0)).toEqual([true, true]);
  const { code, of } = await seeDoctor(cwd);
  expect(code).toBe(0);
  expect(of('integrity')).toMatchObject([{ level: 'ok' }]);
  expect(files.map((one, i) => before[i]?.equals(readFileSync(one)))).toEqual([true, true]);
  client.exec('ROLLBACK');
  client.close();
});
