import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { RoomServiceClient } from 'livekit-server-sdk';
import { expect, onTestFinished, test } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { onPostgres, onSqlite } from '../harness/hangup.ts';
import { cancelAll, prepareCalls } from '../harness/live-calls.ts';
import { ownPostgres } from '../harness/own-postgres.ts';
import { freePort } from '../harness/ports.ts';
import { COMMAND, runHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/** Starts a request without its last line, which keeps the connection open while hangup stops. */
async function startRequest(url: string, head: string) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => {
    socket.destroy();
  });
  let response = '';
  socket.on('data', (chunk: Buffer) => {
    response += chunk.toString();
  });
  // A reset connection also emits `close`.
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(`${head}\r\nhost: hangup\r\n`);
  return {
    socket,
    async finish() {
      const closed = once(socket, 'close');
      socket.write('\r\n');
      await closed;
      return response;
    },
  };
}

test('after SIGTERM hangup completes open cancels, answers new requests with 503, and exits with 0', async () => {
  const hasStoppedListening = Promise.withResolvers<void>();
  const { emulator, sql, key, ids, file, serve } = await prepareCalls(60, {
    settings: { LIVEKIT_CANCEL_TIMEOUT_MS: '4000' },
    // No cancel completes before the signal.
    pass: async ({ path }) => {
      if (path.endsWith('/DeleteRoom')) await hasStoppedListening.promise;
    },
  });
  const hangup = await serve();
  const webhook = await startRequest(hangup.url, 'POST /webhooks/livekit HTTP/1.1');
  const readiness = await startRequest(hangup.url, 'GET /readyz HTTP/1.1');
  const [first = '', ...others] = ids;
  const cancel = await startRequest(
    hangup.url,
    `DELETE /api/v1/calls/${first} HTTP/1.1\r\nx-api-key: ${key}`,
  );
  const openCancel = cancel.finish();
  const cancels = cancelAll(hangup.url, key, others);
  // The requests to LiveKit time out after 4 s, so one read counts the cancels.
  const cancelled = () => sql("SELECT id FROM calls WHERE status = 'cancelled'");
  await expect.poll(async () => (await cancelled()).length).toBe(ids.length);
  const ended = once(hangup.child, 'exit');
  hangup.child.kill('SIGTERM');
  await expect.poll(() => hangup.output()).toContain('"msg":"server stopping"');
  await expect(fetch(`${hangup.url}/healthz`)).rejects.toThrow();
  hasStoppedListening.resolve();
  // LiveKit retries a webhook after 503.
  expect(await webhook.finish()).toMatch(/^HTTP\/1.1 503 /);
  expect(await readiness.finish()).toMatch(/^HTTP\/1.1 503 [\s\S]*^connection: close\r$/im);
  // With this header, a client sends no further request on a closed connection.
  expect(await openCancel).toMatch(/^HTTP\/1.1 200 [\s\S]*^connection: close\r$/im);
  expect((await cancels).length).toBe(others.length);
  expect((await ended)[0]).toBe(0);
  expect(emulator.roomNames()).toEqual([]);
  // The -wal file stays, because the test also has the database open.
  if (file !== '') expect(statSync(`${file}-wal`).size).toBe(0);
});

test('hangup serves for SHUTDOWN_DELAY_MS after SIGTERM, while it is not ready', async () => {
  const { key, ids, serve } = await prepareCalls(1, { settings: { SHUTDOWN_DELAY_MS: '4000' } });
  const hangup = await serve();
  const ended = once(hangup.child, 'exit');
  const beganAt = performance.now();
  hangup.child.kill('SIGTERM');
  await expect.poll(async () => (await fetch(`${hangup.url}/readyz`)).status).toBe(503);
  const cancel = await fetch(`${hangup.url}/api/v1/calls/${ids[0]}`, {
    method: 'DELETE',
    headers: { 'x-api-key': key },
  });
  expect([cancel.status, cancel.headers.get('connection')]).toEqual([200, 'close']);
  expect((await ended)[0]).toBe(0);
  expect(performance.now() - beganAt).toBeGreaterThan(4_000);
});

test('SIGTERM releases the leases of cancels whose client has disconnected', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(2, {
    settings: { LIVEKIT_CANCEL_TIMEOUT_MS: '3000' },
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
  await expect.poll(async () => (await deletions()).every((state) => state === 'running')).toBe(true);
  client.abort();
  await Promise.allSettled(cancels);
  expect(await hangup.kill('SIGTERM')).toBe(0);
  expect(await deletions()).toEqual(['retryable', 'retryable']);
  expect(hangup.output()).not.toContain('"level":"error"');
});

test('SIGTERM releases the leases of attempts without a response from LiveKit', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(3, {
    settings: {
      LIVEKIT_CANCEL_TIMEOUT_MS: '100',
      LIVEKIT_BACKGROUND_TIMEOUT_MS: '60000',
      RETRY_INITIAL_DELAY_MS: '10',
      RETRY_MAX_DELAY_MS: '1000',
    },
  });
  emulator.setFault('DeleteRoom', { kind: 'hang' });
  const hangup = await serve();
  expect(await cancelAll(hangup.url, key, ids)).toHaveLength(3);
  const deletions = async () =>
    (await Promise.all(ids.map((id) => store.findCall(id)))).map((record) => record?.deletion);
  await expect
    .poll(async () =>
      (await deletions()).every((deletion) => deletion?.state === 'running' && deletion.attempt > 1),
    )
    .toBe(true);
  // A client that never sends the rest of its request must not delay the stop further.
  const { socket } = await startRequest(hangup.url, 'GET /api/v1/calls HTTP/1.1');
  const beganAt = performance.now();
  expect(await hangup.kill('SIGTERM')).toBe(0);
  // One after the other, the timeouts of the client and of the attempts would take 20 s.
  expect(performance.now() - beganAt).toBeLessThan(20_000);
  expect(socket.writable).toBe(false);
  for (const deletion of await deletions()) {
    expect(deletion).toMatchObject({
      state: 'retryable',
      lastError: 'unavailable: hangup is shutting down',
    });
  }
  // The next process does not have to wait for a lease of one minute.
  emulator.setFault('DeleteRoom', null);
  await serve();
  await expect.poll(() => emulator.roomNames()).toEqual([]);
});

test("SIGTERM does not wait for requests that wait for LiveKit's rate limit", async () => {
  const { store, key, ids, serve } = await prepareCalls(3, {
    settings: {
      LIVEKIT_REQUESTS_PER_MINUTE: '1',
      LIVEKIT_CANCEL_TIMEOUT_MS: '100',
      LIVEKIT_BACKGROUND_TIMEOUT_MS: '60000',
      RETRY_INITIAL_DELAY_MS: '10',
    },
  });
  const hangup = await serve();
  expect(await cancelAll(hangup.url, key, ids)).toHaveLength(3);
  const deletions = async () =>
    (await Promise.all(ids.map((id) => store.findCall(id)))).map((record) => record?.deletion);
  const isWaiting = (deletion: Awaited<ReturnType<typeof deletions>>[number]) =>
    deletion?.state === 'running' && deletion.attempt > 1;
  await expect.poll(async () => (await deletions()).filter(isWaiting).length).toBeGreaterThanOrEqual(2);
  const beganAt = performance.now();
  expect(await hangup.kill('SIGTERM')).toBe(0);
  // The timeout of the stop is 10 s. The rate limit would hold the attempts for 60 s.
  expect(performance.now() - beganAt).toBeLessThan(30_000);
  const states = (await deletions()).map((deletion) => deletion?.state);
  expect(states).not.toContain('running');
  expect(states).toContain('retryable');
});

test('a stop does not wait for the reconciliation of hundreds of calls', async () => {
  const stopping = Promise.withResolvers<void>();
  let areRoomsGone = false;
  let confirmations = 0;
  const { emulator, sql, ids, env, serve } = await prepareCalls(500, {
    // Long enough to delete all rooms between two runs.
    settings: { RECONCILE_SCHEDULE: '*/10 * * * * *', LIVEKIT_BACKGROUND_TIMEOUT_MS: '10000' },
    // Hold the reconciliation after the first calls.
    pass: async ({ path }) => {
      if (!areRoomsGone || !path.endsWith('/ListParticipants')) return;
      confirmations += 1;
      if (confirmations > 100) await stopping.promise;
    },
  });
  const count = async (condition: string) => (await sql(`SELECT id FROM calls WHERE ${condition}`)).length;
  const hangup = await serve();
  await expect.poll(() => count('room_id IS NULL'), { timeout: 60_000 }).toBe(0);
  const { LIVEKIT_API_KEY, LIVEKIT_API_SECRET } = env;
  const livekit = new RoomServiceClient(emulator.url, LIVEKIT_API_KEY, LIVEKIT_API_SECRET, {
    requestTimeout: 60,
  });
  // One room stays, because reconciliation distrusts an empty list.
  await Promise.all(ids.slice(1).map((id) => livekit.deleteRoom(id)));
  areRoomsGone = true;
  await expect.poll(() => count("status = 'completed'"), { timeout: 60_000 }).toBeGreaterThan(0);
  const stopped = hangup.kill('SIGTERM');
  await expect.poll(() => hangup.output()).toContain('"msg":"server stopping"');
  stopping.resolve();
  expect(await stopped).toBe(0);
  // The next start reconciles the other calls.
  expect(await count("status = 'active'")).toBeGreaterThan(1);
});

onPostgres('SIGTERM ends hangup while Postgres does not respond', async () => {
  const postgres = await ownPostgres();
  const { serve } = await prepareCalls(1, { database: { kind: 'postgres', url: postgres.url } });
  const hangup = await serve();
  postgres.suspend();
  onTestFinished(() => postgres.resume());
  hangup.child.kill('SIGTERM');
  await expect.poll(() => hangup.child.exitCode, { timeout: 60_000 }).toBe(0);
});

test('a second signal exits with 1 at once', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(1, {
    settings: { LIVEKIT_CANCEL_TIMEOUT_MS: '4000' },
  });
  emulator.setFault('DeleteRoom', { kind: 'hang' });
  const hangup = await serve();
  const cancel = cancelAll(hangup.url, key, ids);
  await expect.poll(async () => (await store.findCall('c0'))?.call.status).toBe('cancelled');
  hangup.child.kill('SIGTERM');
  await expect.poll(() => hangup.output()).toContain('"msg":"server stopping"');
  expect(await hangup.kill('SIGINT')).toBe(1);
  await cancel;
});

test('hangup continues when its log cannot be written to a full disk', async () => {
  const port = await freePort();
  const command = COMMAND.map((word) => `'${word}'`).join(' ');
  const child = spawn('sh', ['-c', `exec ${command} serve > /dev/full 2> /dev/full`], {
    cwd: temporaryFolder(),
    env: { PATH: process.env.PATH, PORT: String(port), LOG_LEVEL: 'info' },
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const isServing = () =>
    fetch(`http://127.0.0.1:${port}/openapi.json`).then(
      ({ status }) => status === 200,
      () => false,
    );
  await expect.poll(isServing).toBe(true);
  // Each request is a line of the log.
  for (let i = 0; i < 10; i += 1) expect(await isServing()).toBe(true);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

const unusable: readonly [condition: string, prepare: (file: string) => void, message: RegExp][] = [
  [
    'is not a database',
    (file) => writeFileSync(file, 'no database, but long enough to be looked at'.repeat(99)),
    /^hangup: Cannot use the database .*: file is not a database\. If DATABASE_URL is right, move the file away and restore a backup with `hangup restore FILE`\.\n$/,
  ],
  [
    'is damaged',
    (file) => {
      openSqliteStore(file).close();
      const bytes = readFileSync(file);
      // Overwrite everything except the 100 bytes of the header.
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
    'is a directory',
    (file) => mkdirSync(file),
    /^hangup: Cannot open the database .*\. Check that DATABASE_URL names a file in a directory that this user can write\.\n$/,
  ],
];

onSqlite.each(unusable)(
  'serve prints the remedy and exits with 3 when the database %s',
  async (_, prepare, message) => {
    const cwd = temporaryFolder();
    const file = join(cwd, 'hangup.db');
    prepare(file);
    const env = { DATABASE_URL: `file:${file}`, PORT: '0' };
    const { code, stderr } = await runHangup(['serve'], { cwd, env });
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(message) });
  },
);
