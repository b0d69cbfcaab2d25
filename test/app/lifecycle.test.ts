import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { RoomServiceClient } from 'livekit-server-sdk';
import { expect, onTestFinished, test } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { until } from '../harness/hangup.ts';
import { cancelAll, prepareCalls } from '../harness/live-calls.ts';
import { COMMAND, runHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/** A request whose last line is not sent yet: the connection stays open while hangup stops. */
async function begin(url: string, head: string) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => {
    socket.destroy();
  });
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString();
  });
  // One that is cut off is an end too.
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(`${head}\r\nhost: hangup\r\n`);
  return {
    socket,
    async finish() {
      const closed = once(socket, 'close');
      socket.write('\r\n');
      await closed;
      return answer;
    },
  };
}

test('SIGTERM during cancels: what was begun is answered, who asks now is put off, and it ends with 0', async () => {
  const { emulator, store, key, ids, file, serve } = await prepareCalls(60, {
    settings: { LIVEKIT_REQUEST_TIMEOUT_MS: '2000' },
  });
  emulator.setFault('DeleteRoom', { kind: 'slow', delayMs: 700 });
  const hangup = await serve();
  const webhook = await begin(hangup.url, 'POST /webhooks/livekit HTTP/1.1');
  const readiness = await begin(hangup.url, 'GET /readyz HTTP/1.1');
  const [first = '', ...others] = ids;
  const cancel = await begin(hangup.url, `DELETE /api/v1/calls/${first} HTTP/1.1\r\nx-api-key: ${key}`);
  const inHand = cancel.finish();
  const cancels = cancelAll(hangup.url, key, others);
  const cancelled = async () => {
    const records = await Promise.all(ids.map((id) => store.findCall(id)));
    return records.filter((record) => record?.call.status === 'cancelled').length;
  };
  await until('all are on record, and none is answered', async () => (await cancelled()) === ids.length);
  const ended = once(hangup.child, 'exit');
  hangup.child.kill('SIGTERM');
  await until('it stops', () => hangup.output().includes('"msg":"hangup stops"'));
  await expect(fetch(`${hangup.url}/healthz`)).rejects.toThrow();
  // LiveKit repeats what is answered 503.
  expect(await webhook.finish()).toMatch(/^HTTP\/1.1 503 /);
  expect(await readiness.finish()).toMatch(/^HTTP\/1.1 503 [\s\S]*^connection: close\r$/im);
  // Who was told so sends nothing more into a connection that is closed.
  expect(await inHand).toMatch(/^HTTP\/1.1 200 [\s\S]*^connection: close\r$/im);
  expect((await cancels).length).toBe(others.length);
  expect((await ended)[0]).toBe(0);
  expect(emulator.roomNames()).toEqual([]);
  // The test has the database open too, so the -wal stays.
  expect(statSync(`${file}-wal`).size).toBe(0);
});

test('SIGTERM when the client of a cancel has gone: its attempt is settled, or given back', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(2, {
    settings: { LIVEKIT_REQUEST_TIMEOUT_MS: '3000' },
  });
  emulator.setFault('DeleteRoom', { kind: 'hang' });
  const hangup = await serve();
  const client = new AbortController();
  const cancels = ids.map((id) =>
    fetch(`${hangup.url}/api/v1/calls/${id}`, {
      method: 'DELETE',
      headers: { 'x-api-key': key },
      signal: client.signal,
    }),
  );
  const deletions = async () =>
    (await Promise.all(ids.map((id) => store.findCall(id)))).map((record) => record?.deletion?.state);
  await until('all are on record', async () => (await deletions()).every((state) => state === 'running'));
  client.abort();
  await Promise.allSettled(cancels);
  expect(await hangup.kill('SIGTERM')).toBe(0);
  expect(await deletions()).toEqual(['retryable', 'retryable']);
  expect(hangup.output()).not.toContain('"level":"error"');
});

test('leases of attempts that LiveKit does not answer are given back', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(3, {
    settings: {
      LIVEKIT_REQUEST_TIMEOUT_MS: '100',
      LIVEKIT_BACKGROUND_TIMEOUT_MS: '60000',
      RETRY_FIRST_DELAY_MS: '10',
      RETRY_MAX_DELAY_MS: '1000',
    },
  });
  emulator.setFault('DeleteRoom', { kind: 'hang' });
  const hangup = await serve();
  expect(await cancelAll(hangup.url, key, ids)).toHaveLength(3);
  const states = async () =>
    (await Promise.all(ids.map((id) => store.findCall(id)))).map((record) => record?.deletion);
  await until('all are tried again', async () =>
    (await states()).every((one) => one?.state === 'running' && one.attempt > 1),
  );
  // A client that never sends the rest of its request does not hold it up for longer.
  const { socket } = await begin(hangup.url, 'GET /api/v1/calls HTTP/1.1');
  const beganAt = performance.now();
  expect(await hangup.kill('SIGTERM')).toBe(0);
  // Both have the same 10 s.
  expect(performance.now() - beganAt).toBeLessThan(15_000);
  expect(socket.writable).toBe(false);
  for (const deletion of await states()) {
    expect(deletion).toMatchObject({
      state: 'retryable',
      lastError: 'unavailable: hangup was stopped meanwhile',
    });
  }
  // So the next one need not wait for a lease of a minute.
  emulator.setFault('DeleteRoom', null);
  await serve();
  await until('all rooms are gone', () => emulator.roomNames().length === 0);
}, 60_000);

test('stopping does not wait for what waits for the rate limit of LiveKit', async () => {
  const { store, key, ids, serve } = await prepareCalls(3, {
    settings: {
      LIVEKIT_REQUESTS_PER_MINUTE: '1',
      LIVEKIT_REQUEST_TIMEOUT_MS: '100',
      LIVEKIT_BACKGROUND_TIMEOUT_MS: '60000',
      RETRY_FIRST_DELAY_MS: '10',
    },
  });
  const hangup = await serve();
  expect(await cancelAll(hangup.url, key, ids)).toHaveLength(3);
  const deletions = async () =>
    (await Promise.all(ids.map((id) => store.findCall(id)))).map((record) => record?.deletion);
  const isWaiting = (one: Awaited<ReturnType<typeof deletions>>[number]) =>
    one?.state === 'running' && one.attempt > 1;
  await until('attempts wait', async () => (await deletions()).filter(isWaiting).length >= 2);
  const beganAt = performance.now();
  expect(await hangup.kill('SIGTERM')).toBe(0);
  expect(performance.now() - beganAt).toBeLessThan(15_000);
  const states = (await deletions()).map((one) => one?.state);
  expect(states).not.toContain('running');
  expect(states).toContain('retryable');
}, 60_000);

test('stopping does not wait until hundreds of calls are compared', async () => {
  const { file, ids, env, serve } = await prepareCalls(500, {
    // So rarely that all are gone between two.
    settings: { COMPARE_SCHEDULE: '*/10 * * * * *', LIVEKIT_BACKGROUND_TIMEOUT_MS: '10000' },
  });
  const records = new SqliteDatabase(file, { readonly: true });
  onTestFinished(() => {
    records.close();
  });
  const count = (what: string) =>
    records.prepare<[], number>(`SELECT count(*) FROM calls WHERE ${what}`).pluck().get() ?? 0;
  const hangup = await serve();
  await until('all rooms are seen', () => count('room_id IS NULL') === 0, 60_000);
  const livekit = new RoomServiceClient(env.LIVEKIT_URL, env.LIVEKIT_API_KEY, env.LIVEKIT_API_SECRET);
  // One stays: a list that is suddenly empty is not believed at once.
  await Promise.all(ids.slice(1).map((id) => livekit.deleteRoom(id)));
  await until('the first of them end', () => count("status = 'completed'") > 0, 60_000);
  expect(await hangup.kill('SIGTERM')).toBe(0);
  // The rest is left to the next start.
  expect(count("status = 'active'")).toBeGreaterThan(1);
}, 120_000);

test('a second signal ends it at once', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(1, {
    settings: { LIVEKIT_REQUEST_TIMEOUT_MS: '4000' },
  });
  emulator.setFault('DeleteRoom', { kind: 'hang' });
  const hangup = await serve();
  const cancel = cancelAll(hangup.url, key, ids);
  await until('it is asked', async () => (await store.findCall('c0'))?.call.status === 'cancelled');
  hangup.child.kill('SIGTERM');
  await until('it stops', () => hangup.output().includes('"msg":"hangup stops"'));
  expect(await hangup.kill('SIGINT')).toBe(1);
  await cancel;
});

test('it serves on when its log cannot be written, for the disk is full', async () => {
  const { port } = await freePort();
  const words = COMMAND.map((word) => `'${word}'`).join(' ');
  const child = spawn('sh', ['-c', `exec ${words} serve > /dev/full 2> /dev/full`], {
    cwd: temporaryFolder(),
    env: { PATH: process.env.PATH, PORT: String(port), LOG_LEVEL: 'info' },
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/openapi.json`).then(
      ({ status }) => status === 200,
      () => false,
    );
  await until('it serves', answers);
  // Each request is a line of the log.
  for (let i = 0; i < 10; i += 1) expect(await answers()).toBe(true);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

async function freePort(): Promise<{ port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return address;
}

const unusable: readonly [what: string, prepare: (file: string) => void, said: RegExp][] = [
  [
    'is no database',
    (file) => writeFileSync(file, 'no database, but long enough to be looked at'.repeat(99)),
    /^hangup: Cannot use the database .*: file is not a database\. If DATABASE_URL is right, move the file away and restore a backup with `hangup restore FILE`\.\n$/,
  ],
  [
    'is damaged',
    (file) => {
      openSqliteStore(file).close();
      const bytes = readFileSync(file);
      // All but the header, which has the first 100 bytes.
      writeFileSync(file, bytes.fill(0x5a, 100));
    },
    /^hangup: Cannot use the database .*malformed.*\. If DATABASE_URL is right, move the file away and restore a backup/,
  ],
  [
    'is locked by another program',
    (file) => {
      openSqliteStore(file).close();
      const other = new SqliteDatabase(file);
      onTestFinished(() => {
        other.close();
      });
      other.exec('BEGIN IMMEDIATE');
    },
    /^hangup: Cannot use the database .*: database is locked\. Another program holds the lock: end that program, then start again\.\n$/,
  ],
  [
    'is a folder',
    (file) => mkdirSync(file),
    /^hangup: Cannot open the database .*\. Check that DATABASE_URL names a file in a directory that this user can write\.\n$/,
  ],
];

test.each(unusable)(
  'a database that %s: a sentence that says what to do, and 3',
  async (_, prepare, said) => {
    const cwd = temporaryFolder();
    const file = join(cwd, 'hangup.db');
    prepare(file);
    const env = { DATABASE_URL: `file:${file}`, PORT: '0' };
    const { code, stderr } = await runHangup(['serve'], { cwd, env });
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(said) });
  },
  60_000,
);
