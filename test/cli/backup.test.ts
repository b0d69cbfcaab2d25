import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { backupDatabase } from '../../src/store/sqlite/backup.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall } from '../harness/calls.ts';
import { startEmulated } from '../harness/livekit.ts';
import { runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const env = { DATABASE_URL: 'file:hangup.db' };
const run = (args: string, cwd: string) => runHangup(args.split(' '), { cwd, env });

async function makeKey(cwd: string) {
  const { stdout } = await run('keys create --org acme --name test --json', cwd);
  return JSON.parse(stdout) as { id: string; key: string; organizationId: string };
}

test('a backup under load is complete, replaces no file, and a failed one leaves no file', async () => {
  const cwd = temporaryFolder();
  const { key } = await makeKey(cwd);
  const { url } = await serveHangup({ cwd, env });
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  let isOver = false;
  const load = (async () => {
    let made = 0;
    for (; !isOver; made += 1)
      await fetch(`${url}/api/v1/calls`, { method: 'POST', headers, body: `{"id":"c${made}"}` });
    return made;
  })();
  expect(await run('backup copy.db', cwd)).toMatchObject({ code: 0 });
  isOver = true;
  expect(await load).toBeGreaterThan(0);
  expect(readdirSync(cwd).filter((name) => name.startsWith('copy'))).toEqual(['copy.db']);
  const copy = new SqliteDatabase(join(cwd, 'copy.db'), { readonly: true });
  expect(copy.pragma('integrity_check', { simple: true })).toBe('ok');
  copy.close();

  const before = statSync(join(cwd, 'copy.db')).mtimeMs;
  expect(await run('backup copy.db', cwd)).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('already exists'),
  });
  expect(statSync(join(cwd, 'copy.db')).mtimeMs).toBe(before);
  expect(await run('backup no/such/folder.db', cwd)).toMatchObject({ code: 3 });
  expect(await run('restore copy.db', cwd)).toMatchObject({
    code: 3,
    stderr: 'hangup: The database hangup.db is in use by a running hangup. Stop hangup, then restore.\n',
  });
  expect(readdirSync(cwd).filter((name) => name.includes('restor'))).toEqual([]);
});

test.each([
  [
    'a file that is not a database',
    (file: string) => writeFileSync(file, 'not a database, but long enough to be looked at'.repeat(99)),
  ],
  [
    'another program’s database',
    (file: string) => new SqliteDatabase(file).exec('CREATE TABLE x (y)').close(),
  ],
  [
    'the database of a newer version',
    (file: string) => {
      openSqliteStore(file).close();
      const client = new SqliteDatabase(file);
      client.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('unknown', 1)");
      client.close();
    },
  ],
])('restore refuses %s and changes nothing', async (_, make) => {
  const cwd = temporaryFolder();
  const { id } = await makeKey(cwd);
  make(join(cwd, 'bad.db'));
  const before = readdirSync(cwd).toSorted();
  expect(await run('restore bad.db', cwd)).toMatchObject({ code: 3 });
  expect(readdirSync(cwd).toSorted()).toEqual(before);
  expect((await run('keys list', cwd)).stdout).toContain(id);
});

test('only the owner can read a backup and a restored database', async () => {
  const cwd = temporaryFolder();
  await makeKey(cwd);
  const modeOf = (name: string) => statSync(join(cwd, name)).mode & 0o777;
  // A temporary file of an earlier backup that was killed.
  writeFileSync(join(cwd, 'copy.db.partial'), 'x', { mode: 0o644 });
  expect(await run('backup copy.db', cwd)).toMatchObject({ code: 0 });
  expect(modeOf('copy.db')).toBe(0o600);
  chmodSync(join(cwd, 'copy.db'), 0o644);
  expect(await run('restore copy.db', cwd)).toMatchObject({ code: 0 });
  expect(modeOf('hangup.db')).toBe(0o600);
});

test('two concurrent backups succeed, and two concurrent restores leave a valid database', async () => {
  const cwd = temporaryFolder();
  const { id } = await makeKey(cwd);
  const backups = await Promise.all([run('backup a.db', cwd), run('backup b.db', cwd)]);
  expect(backups.map(({ code }) => code)).toEqual([0, 0]);
  for (const { code, stderr } of await Promise.all([run('restore a.db', cwd), run('restore b.db', cwd)])) {
    // A restore can find the lock of the other restore.
    expect({ code, stderr }).toEqual(
      code === 0
        ? { code, stderr: '' }
        : {
            code: 3,
            stderr:
              'hangup: The database hangup.db is in use by a running hangup. Stop hangup, then restore.\n',
          },
    );
  }
  expect((await run('keys list', cwd)).stdout).toContain(id);
  expect(readdirSync(cwd).filter((name) => /partial|restoring/.test(name))).toEqual([]);
});

test('of concurrent backups to one name exactly one succeeds', async () => {
  const cwd = temporaryFolder();
  await makeKey(cwd);
  const target = join(cwd, 'copy.db');
  // Another backup completes during the copy of this backup.
  const copying = backupDatabase(join(cwd, 'hangup.db'), target);
  writeFileSync(target, 'of another backup');
  await expect(copying).rejects.toThrow(`${target} already exists. Choose another file name.`);
  expect(readFileSync(target, 'utf8')).toBe('of another backup');
  rmSync(target);
  const ended = await Promise.all(Array.from({ length: 3 }, () => run('backup copy.db', cwd)));
  expect(ended.map(({ code }) => code).toSorted()).toEqual([0, 3, 3]);
  for (const { code, stderr } of ended) {
    expect(stderr).toBe(code === 0 ? '' : 'hangup: copy.db already exists. Choose another file name.\n');
  }
  expect(readdirSync(cwd).filter((name) => name.startsWith('copy'))).toEqual(['copy.db']);
});

test('restore refuses while a server still uses the deleted database file', async () => {
  const cwd = temporaryFolder();
  const { id } = await makeKey(cwd);
  await run('backup copy.db', cwd);
  const hangup = await serveHangup({ cwd, env });
  for (const name of readdirSync(cwd).filter((name) => name.startsWith('hangup.db'))) rmSync(join(cwd, name));
  expect(await run('restore copy.db', cwd)).toEqual({
    code: 3,
    stdout: '',
    stderr: `hangup: Process ${hangup.child.pid} uses hangup.db, although that file was deleted or replaced. Stop the process, then restore.\n`,
  });
  expect(readdirSync(cwd)).toEqual(['copy.db']);
  await hangup.kill('SIGTERM');
  expect(await run('restore copy.db', cwd)).toMatchObject({ code: 0 });
  expect((await run('keys list', cwd)).stdout).toContain(id);
});

test('backup of a file that is not a database fails and names the file', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, 'notes.txt'), 'no database, but long enough to be looked at'.repeat(99));
  const env = { DATABASE_URL: 'file:notes.txt' };
  expect(await runHangup(['backup', 'copy.db'], { cwd, env })).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^hangup: Cannot read the database notes\.txt: .*If DATABASE_URL is right/),
  });
  expect(readdirSync(cwd)).toEqual(['notes.txt']);
});

test('backup and restore name a missing directory and do not create it', async () => {
  const cwd = temporaryFolder();
  await makeKey(cwd);
  expect(await run('backup no/copy.db', cwd)).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^hangup: Directory not found: no\. Create it/),
  });
  await run('backup copy.db', cwd);
  const elsewhere = await runHangup(['restore', 'copy.db'], { cwd, env: { DATABASE_URL: 'file:no/x.db' } });
  expect(elsewhere).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^hangup: Directory not found: no\. Create it/),
  });
  expect(existsSync(join(cwd, 'no'))).toBe(false);
  expect(await run('restore .', cwd)).toMatchObject({ code: 3 });
});

test('restore replaces a missing database and ignores its old -wal file', async () => {
  const cwd = temporaryFolder();
  const { id } = await makeKey(cwd);
  await run('backup copy.db', cwd);
  const store = openSqliteStore(join(cwd, 'hangup.db'));
  await store.revokeApiKey({ id, now: Date.now() });
  rmSync(join(cwd, 'hangup.db'));
  // As after a kill: closing the database would remove the -wal file.
  copyFileSync(join(cwd, 'hangup.db-wal'), join(cwd, 'left-wal'));
  store.close();
  renameSync(join(cwd, 'left-wal'), join(cwd, 'hangup.db-wal'));
  const { code, stdout } = await run('restore copy.db', cwd);
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'restored hangup.db from copy.db\n' });
  expect((await run('keys list', cwd)).stdout).toMatch(/ valid$/m);
});

test('restore replaces a damaged database and keeps the old file', async () => {
  const cwd = temporaryFolder();
  const { id } = await makeKey(cwd);
  await run('backup copy.db', cwd);
  writeFileSync(join(cwd, 'hangup.db'), 'no database any more'.repeat(99));
  expect(await run('restore copy.db', cwd)).toMatchObject({ code: 0 });
  expect((await run('keys list', cwd)).stdout).toContain(id);
  expect(readdirSync(cwd).filter((name) => name.startsWith('hangup.db.before-restore-'))).toHaveLength(1);
  expect(existsSync(join(cwd, 'copy.db'))).toBe(true);
});

test('a reader who has events that a restored backup lacks gets a reset', async () => {
  const cwd = temporaryFolder();
  const { key } = await makeKey(cwd);
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  const register = async (url: string) =>
    expect((await fetch(`${url}/api/v1/calls`, { method: 'POST', headers, body: '{}' })).status).toBe(201);
  const first = await serveHangup({ cwd, env });
  await register(first.url);
  expect(await run('backup copy.db', cwd)).toMatchObject({ code: 0 });
  await register(first.url);
  await first.kill('SIGTERM');
  const database = new SqliteDatabase(join(cwd, 'hangup.db'), { readonly: true });
  const position = database.prepare('SELECT max(id) FROM audit_log').pluck().get();
  database.close();
  expect(await run('restore copy.db', cwd)).toMatchObject({ code: 0 });
  const second = await serveHangup({ cwd, env });
  for (let i = 0; i < 3; i += 1) await register(second.url);
  const response = await fetch(`${second.url}/api/v1/events?lastEventId=${position}`, { headers });
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += new TextDecoder().decode(chunk);
    if (text.includes('event:')) break;
  }
  expect(text).toContain('event: reset');
});

test('reconciliation corrects the calls of a restored older backup', async () => {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const { emulator } = livekit;
  const cwd = temporaryFolder();
  const { organizationId, key } = await makeKey(cwd);
  const open = () => openSqliteStore(join(cwd, 'hangup.db'));
  const store = open();
  for (const id of ['goes', 'stays', 'is-cancelled']) {
    emulator.join(id, { identity: 'caller' });
    const call = buildCall({ id, organizationId, status: 'active', createdAt: Date.now() });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
  }
  store.close();
  const serve = () =>
    serveHangup({
      cwd,
      env: {
        ...env,
        LIVEKIT_URL: livekit.url,
        LIVEKIT_API_KEY: livekit.apiKey,
        LIVEKIT_API_SECRET: livekit.apiSecret,
        RECONCILE_SCHEDULE: '* * * * * *',
      },
    });
  const yesterday = await serve();
  const areObserved = async () => {
    const calls = open();
    const seen = await Promise.all(['goes', 'stays', 'is-cancelled'].map((id) => calls.findCall(id)));
    calls.close();
    return seen.every((record) => record?.call.roomId !== null);
  };
  await expect.poll(areObserved).toBe(true);
  expect(await run('backup yesterday.db', cwd)).toMatchObject({ code: 0 });

  // The restored backup does not contain this cancel and this end.
  const headers = { 'x-api-key': key };
  await fetch(`${yesterday.url}/api/v1/calls/is-cancelled`, { method: 'DELETE', headers });
  await yesterday.kill('SIGTERM');
  const { RoomServiceClient } = await import('livekit-server-sdk');
  await new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret).deleteRoom('goes');
  expect(await run('restore yesterday.db', cwd)).toMatchObject({ code: 0 });

  const { url } = await serve();
  const statusOf = async (id: string) => {
    const response = await fetch(`${url}/api/v1/calls/${id}`, { headers });
    return ((await response.json()) as { data: { status: string } }).data.status;
  };
  expect(await statusOf('is-cancelled')).toBe('active');
  for (const id of ['goes', 'is-cancelled']) {
    await expect.poll(() => statusOf(id), { timeout: 40_000 }).toBe('completed');
  }
  expect(await statusOf('stays')).toBe('active');
});
