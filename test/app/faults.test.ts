import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, globSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { answerOf } from '../harness/answers.ts';
import { onPostgres, onSqlite } from '../harness/hangup.ts';
import { cancelAll, HALF_CANCELLED, prepareCalls, stopAll } from '../harness/live-calls.ts';
import { ownPostgres } from '../harness/own-postgres.ts';
import { type PostgresServer, query } from '../harness/postgres-server.ts';
import { type RunningHangup, runHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/*
 * Faults of the machine: `npm run test:faults`, as root, with libfaketime and strace (Debian: faketime, strace). A full disk of
 * Postgres is not tested: Postgres then behaves as while it restarts.
 */

/** Returns the directory of a disk. */
function smallDisk(megabytes = 12): string {
  const folder = temporaryFolder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', folder]);
  });
  return folder;
}

function fill(folder: string, { freeBytes = 0 } = {}): string {
  const filler = join(folder, 'filler');
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(filler, Buffer.alloc(bavail * bsize - freeBytes));
  return filler;
}

const statusOf = async (url: string, path: string, key: string) =>
  (await fetch(`${url}${path}`, { headers: { 'x-api-key': key } })).status;

onSqlite(
  'on a full disk cancels change nothing and reads work; hangup recovers when space is free',
  async () => {
    const folder = smallDisk();
    const { emulator, store, key, ids, serve } = await prepareCalls(40, { folder });
    const hangup = await serve();
    const filler = fill(folder);
    // SQLite can still write into space that it allocated before.
    const answered = await cancelAll(hangup.url, key, ids);
    const records = await Promise.all(ids.map((id) => store.findCall(id)));
    for (const record of records) {
      const isCancelled = record?.call.status === 'cancelled';
      expect(record?.deletion !== null).toBe(isCancelled);
      expect(answered.includes(record?.call.id ?? '')).toBe(isCancelled);
    }
    expect(answered.length).toBeLessThan(ids.length);
    const refused = ids.find((id) => !answered.includes(id)) ?? '';
    const again = { method: 'DELETE', headers: { 'x-api-key': key } };
    expect((await fetch(`${hangup.url}/api/v1/calls/${refused}`, again)).status).toBe(500);
    expect(await statusOf(hangup.url, `/api/v1/calls/${refused}`, key)).toBe(200);
    expect(await statusOf(hangup.url, '/api/v1/calls', key)).toBe(200);
    await expect.poll(() => statusOf(hangup.url, '/readyz', key)).toBe(503);
    rmSync(filler);
    await expect.poll(() => statusOf(hangup.url, '/readyz', key)).toBe(200);
    expect(await cancelAll(hangup.url, key, [refused])).toEqual([refused]);
    expect(emulator.roomNames()).not.toContain(refused);
  },
);

onSqlite('acknowledged cancels survive a stop on a full disk', async () => {
  const folder = smallDisk();
  const { store, key, ids, serve } = await prepareCalls(40, { folder });
  const hangup = await serve();
  const filler = fill(folder);
  const answered = await cancelAll(hangup.url, key, ids);
  expect(answered.length).toBeLessThan(ids.length);
  // hangup closes the database last, so the close has to checkpoint the -wal file.
  await store.close();
  expect({ code: await hangup.kill('SIGTERM'), output: hangup.output() }).toMatchObject({ code: 0 });
  rmSync(filler);
  const { url } = await serve();
  for (const id of ids) {
    const response = await fetch(`${url}/api/v1/calls/${id}`, { headers: { 'x-api-key': key } });
    const { data } = (await response.json()) as { data: { status: string } };
    expect(data.status, id).toBe(answered.includes(id) ? 'cancelled' : 'active');
  }
});

onSqlite(
  'a cancellation whose disk becomes full keeps the recorded calls, and completes when space is free',
  async () => {
    const folder = smallDisk(64);
    const { emulator, store, key, ids, file, serve } = await prepareCalls(3_000, { folder });
    // Only the recording writes.
    await emulator.pause();
    const hangup = await serve();
    const other = new SqliteDatabase(file);
    onTestFinished(() => {
      other.close();
    });
    // SQLite can write into the space of its log, which a checkpoint empties.
    other.pragma('wal_checkpoint(TRUNCATE)');
    // Enough for the first writes of 200 calls, and too little for all.
    const filler = fill(folder, { freeBytes: 2 * 1024 * 1024 });
    const id = await stopAll(hangup.url, key);
    await expect.poll(() => hangup.output(), { timeout: 20_000 }).toContain('cancellation interrupted');
    const recorded = async () => (await store.findCancellation(id))?.counts.cancelled ?? 0;
    expect(await recorded()).toBeGreaterThan(0);
    expect(await recorded()).toBeLessThan(ids.length);
    expect(other.prepare(HALF_CANCELLED).pluck().all()).toEqual([]);
    expect(await statusOf(hangup.url, `/api/v1/cancellations/${id}`, key)).toBe(200);
    rmSync(filler);
    await emulator.resume();
    await expect
      .poll(() => store.findCancellation(id), { timeout: 60_000 })
      .toMatchObject({
        state: 'completed',
        counts: { cancelled: ids.length, rooms: { deleted: ids.length, pending: 0, discarded: 0 } },
      });
    expect(emulator.roomNames()).toEqual([]);
  },
);

onSqlite('a start on a full disk prints one line and exits with 3', async () => {
  const folder = smallDisk();
  fill(folder);
  const env = { DATABASE_URL: `file:${join(folder, 'hangup.db')}` };
  const { code, stderr } = await runHangup(['migrate'], { cwd: temporaryFolder(), env });
  expect({ code, stderr }).toEqual({
    code: 3,
    stderr: expect.stringMatching(/^hangup: Cannot .*[Ff]ree space|full.*\n$/),
  });
});

onSqlite('keys create on a full disk prints one line, exits with 3 and prints no key', async () => {
  const folder = smallDisk();
  const { file } = await prepareCalls(1, { folder });
  fill(folder);
  const run = (...args: string[]) =>
    runHangup(args, { cwd: temporaryFolder(), env: { DATABASE_URL: `file:${file}` } });
  // SQLite can still write into space that it allocated before.
  let last = { code: 0 as number | null, stdout: '', stderr: '' };
  for (let i = 0; i < 40 && last.code === 0; i += 1)
    last = await run('keys', 'create', '--org', `org${i}`, '--name', 'test');
  expect(last).toEqual({
    code: 3,
    stdout: '',
    stderr:
      'hangup: The database cannot be used: database or disk is full. Free space on the disk, then start again.\n',
  });
});

/** Changes the fsyncs of processes by a fault of strace's option `inject`. */
async function injectIntoFsync(pids: readonly number[], fault: string) {
  const inject = `inject=fsync,fdatasync:${fault}`;
  const attach = pids.flatMap((pid) => ['-p', String(pid)]);
  // A thread of hangup writes. The processes that Postgres starts after a crash get no fault.
  const args = ['-f', ...attach, '-e', 'trace=fsync,fdatasync', '-e', inject];
  const traced = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => {
    traced.kill('SIGKILL');
  });
  const closed = once(traced, 'close');
  let trace = '';
  traced.stderr.on('data', (chunk: Buffer) => {
    trace += chunk.toString();
  });
  for (const pid of pids) await expect.poll(() => trace).toMatch(new RegExp(`Process ${pid} attached`));
  return {
    /** The number of fsyncs that have begun. */
    fsyncs: () => trace.match(/f(data)?sync\(/g)?.length ?? 0,
    /** Resolves when the trace is complete. */
    async end() {
      traced.kill('SIGINT');
      await closed;
    },
  };
}

/** Returns the ids of the processes that write to the disk. */
async function processesOf({ url }: PostgresServer): Promise<number[]> {
  const rows = await query<{ pid: number }>(
    url,
    'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()',
  );
  return rows.map(({ pid }) => pid);
}

/** Prepares calls on a Postgres server of the test's own. */
async function prepareOnOwnPostgres(count: number) {
  const postgres = await ownPostgres();
  const prepared = await prepareCalls(count, { database: { kind: 'postgres', url: postgres.url } });
  return { ...prepared, postgres };
}

/** Prepares calls, and returns a function that reads the processes that write to the disk. */
async function prepareOnOwnDisk(count: number) {
  if (process.env.TEST_STORE === 'postgres') {
    const { postgres, ...prepared } = await prepareOnOwnPostgres(count);
    return { ...prepared, writersOf: () => processesOf(postgres) };
  }
  const prepared = await prepareCalls(count);
  return { ...prepared, writersOf: async (hangup: RunningHangup) => [hangup.child.pid ?? 0] };
}

test('while the disk stalls, reads work and each cancel gets 503 in time', async () => {
  const { emulator, key, ids: all, serve, writersOf } = await prepareOnOwnDisk(5);
  const [first = '', ...ids] = all;
  const hangup = await serve();
  // Connects hangup to the process of Postgres that commits.
  expect(await cancelAll(hangup.url, key, [first])).toEqual([first]);
  const disk = await injectIntoFsync(await writersOf(hangup), 'delay_enter=20000000');
  let answered = 0;
  const cancels = ids.map(async (id) => {
    const response = await fetch(`${hangup.url}/api/v1/calls/${id}`, {
      method: 'DELETE',
      headers: { 'x-api-key': key },
      signal: AbortSignal.timeout(5_000),
    });
    answered += 1;
    return { status: response.status, retryAfter: response.headers.get('retry-after') };
  });
  await expect.poll(() => disk.fsyncs()).toBeGreaterThan(0);
  expect(await statusOf(hangup.url, '/healthz', key)).toBe(200);
  expect(await statusOf(hangup.url, '/api/v1/calls', key)).toBe(200);
  expect(answered).toBe(0);
  expect(await Promise.all(cancels)).toEqual(ids.map(() => ({ status: 503, retryAfter: '1' })));
  expect(await statusOf(hangup.url, `/api/v1/calls/${ids[0]}`, key)).toBe(200);
  await disk.end();
  // A started commit completes. The clients retry all cancels.
  await expect
    .poll(async () => {
      await cancelAll(hangup.url, key, ids);
      const statuses = await Promise.all(
        ids.map(async (id) => {
          const response = await fetch(`${hangup.url}/api/v1/calls/${id}`, { headers: { 'x-api-key': key } });
          return ((await response.json()) as { data: { status: string } }).data.status;
        }),
      );
      return statuses.every((status) => status === 'cancelled');
    })
    .toBe(true);
  await expect.poll(() => emulator.roomNames()).toEqual([]);
});

onSqlite(
  'when the fsync of a shared commit fails, its cancels get 500 and change nothing, and a retry succeeds',
  async () => {
    const { emulator, store, key, ids, file, serve } = await prepareCalls(40);
    const hangup = await serve();
    const cancelWithStatus = async (id: string) => {
      const options = { method: 'DELETE', headers: { 'x-api-key': key } };
      return (await fetch(`${hangup.url}/api/v1/calls/${id}`, options)).status;
    };
    const other = new SqliteDatabase(file);
    onTestFinished(() => {
      other.close();
    });
    // Each fsync fails, because a commit without a cancel can be the first one: it can record the last use of the key.
    const disk = await injectIntoFsync([hangup.child.pid ?? 0], 'error=EIO');
    other.exec('BEGIN IMMEDIATE');
    const cancels = ids.map(cancelWithStatus);
    // The check of the store waits for a second after the cancels. All cancels are then queued.
    expect(await statusOf(hangup.url, '/readyz', key)).toBe(503);
    other.exec('ROLLBACK');
    const statuses = await Promise.all(cancels);
    await disk.end();
    expect(disk.fsyncs()).toBeGreaterThan(0);
    expect(disk.fsyncs()).toBeLessThan(ids.length);
    expect(statuses).toEqual(ids.map(() => 500));
    for (const id of ids) {
      expect(await store.findCall(id)).toMatchObject({ call: { status: 'active' }, deletion: null });
    }
    expect(await cancelAll(hangup.url, key, ids)).toEqual(ids);
    await expect.poll(() => emulator.roomNames()).toEqual([]);
  },
);

onPostgres(
  'when the fsync of a commit fails, Postgres restarts, and the retries of the cancels succeed',
  async () => {
    const { emulator, store, key, ids: all, serve, postgres } = await prepareOnOwnPostgres(40);
    const [first = '', ...ids] = all;
    const hangup = await serve();
    // Connects hangup to the process of Postgres that commits.
    expect(await cancelAll(hangup.url, key, [first])).toEqual([first]);
    const processes = await processesOf(postgres);
    const disk = await injectIntoFsync(processes, 'error=EIO:when=1');
    const answers = await Promise.all(
      ids.map((id) =>
        answerOf('cancel', `${hangup.url}/api/v1/calls/${id}`, {
          method: 'DELETE',
          headers: { 'x-api-key': key },
        }),
      ),
    );
    await disk.end();
    expect(disk.fsyncs()).toBeGreaterThan(0);
    const statuses = answers.map((answer) => answer?.status);
    // The commit of a heartbeat can be the first one: then a cancel need not fail.
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    await expect.poll(() => statusOf(hangup.url, '/readyz', key)).toBe(200);
    // Postgres ends all its processes after the failed fsync.
    await expect
      .poll(async () => (await processesOf(postgres)).filter((pid) => processes.includes(pid)))
      .toEqual([]);
    expect(await query(postgres.url, HALF_CANCELLED)).toEqual([]);
    // A commit whose fsync failed can be on the disk after the restart.
    await cancelAll(hangup.url, key, ids);
    for (const id of ids) {
      expect(await store.findCall(id)).toMatchObject({ call: { status: 'cancelled' }, deletion: {} });
    }
    await expect.poll(() => emulator.roomNames()).toEqual([]);
  },
);

onSqlite("a database that root creates belongs to the folder's owner, with its -wal and -shm", async () => {
  const cwd = temporaryFolder();
  chownSync(cwd, 61_234, 61_235);
  const { store, serve } = await prepareCalls(1, { folder: cwd });
  await serve();
  await store.close();
  const owners = globSync(join(cwd, 'hangup.db*')).map((path) => [basename(path), statSync(path).uid]);
  expect(owners.toSorted()).toEqual([
    ['hangup.db', 61_234],
    ['hangup.db-shm', 61_234],
    ['hangup.db-wal', 61_234],
  ]);
});

onSqlite.each(['present', 'missing'])(
  'a database that root restores belongs to the user of hangup when the old one is %s',
  async (state) => {
    const cwd = temporaryFolder();
    const env = { DATABASE_URL: 'file:state/hangup.db' };
    const run = (...args: string[]) => runHangup(args, { cwd, env });
    expect(await run('migrate')).toMatchObject({ code: 0 });
    expect(await run('backup', 'copy.db')).toMatchObject({ code: 0 });
    const file = join(cwd, 'state/hangup.db');
    for (const path of [file, join(cwd, 'state')]) chownSync(path, 61_234, 61_235);
    if (state === 'missing') rmSync(file);
    expect(await run('restore', 'copy.db')).toMatchObject({ code: 0 });
    expect(statSync(file)).toMatchObject({ uid: 61_234, gid: 61_235 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
  },
);

onSqlite('hangup logs the removal of its database file within a minute, and is not ready', async () => {
  const { key, file, serve } = await prepareCalls(1);
  const hangup = await serve();
  expect(await statusOf(hangup.url, '/readyz', key)).toBe(200);
  for (const part of globSync(`${file}*`)) rmSync(part);
  const message = 'was removed or replaced while hangup was running';
  await expect.poll(() => hangup.output(), { timeout: 70_000 }).toContain(message);
  await expect.poll(() => statusOf(hangup.url, '/readyz', key)).toBe(503);
  expect(existsSync(file)).toBe(false);
});

test('rooms are deleted and no time runs backwards when the clock is set back an hour during an outage of LiveKit', async () => {
  const cwd = temporaryFolder();
  const clock = join(cwd, 'clock');
  writeFileSync(clock, '+0');
  const [library = ''] = globSync('/usr/lib/*/faketime/libfaketime.so.1');
  expect(library, 'libfaketime is installed').not.toBe('');
  const settings = {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    RETRY_MAX_DELAY_MS: '2000',
  };
  const { emulator, store, key, ids, serve } = await prepareCalls(5, { settings });
  const hangup = await serve();
  await emulator.pause();
  expect(await cancelAll(hangup.url, key, ids)).toHaveLength(5);
  const before = await store.findCall('c0');
  writeFileSync(clock, '-3600');
  await expect
    .poll(async () => {
      const response = await fetch(`${hangup.url}/healthz`);
      return Date.parse(response.headers.get('date') ?? '') < Date.now() - 3_000_000;
    })
    .toBe(true);
  await emulator.resume();
  await expect.poll(() => emulator.roomNames(), { timeout: 40_000 }).toEqual([]);
  const after = await store.findCall('c0');
  expect(after?.call).toEqual(before?.call);
  await expect.poll(async () => (await store.findCall('c0'))?.deletion?.state).toBe('completed');
});
