import { once } from 'node:events';
import { connect } from 'node:net';
import SqliteDatabase from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Hangup, onSqlite, startHangup } from '../harness/hangup.ts';
import { startEmulated } from '../harness/livekit.ts';
import { readMetrics } from '../harness/metrics.ts';

async function startTestHangup(options: Parameters<typeof startHangup>[0] = {}): Promise<Hangup> {
  const hangup = await startHangup(options);
  onTestFinished(() => hangup.stop());
  return hangup;
}

const request = (hangup: Hangup, path: string, method = 'GET') => hangup.send(method, path, { key: null });
const notReady = (reason: string) => ({
  status: 503,
  body: { error: { message: `Not ready: ${reason}`, code: 503 } },
});

test('/healthz returns 200 without a key', async () => {
  const hangup = await startTestHangup();
  expect(await request(hangup, '/healthz')).toMatchObject({
    status: 200,
    body: { data: { status: 'alive' } },
  });
  expect(await request(hangup, '/healthz', 'HEAD')).toMatchObject({ status: 200, body: '' });
});

test.each(['/healthz', '/readyz', '/metrics'])(
  '%s returns 405 to methods other than GET and HEAD',
  async (path) => {
    const hangup = await startTestHangup();
    for (const method of ['POST', 'DELETE', 'PUT']) {
      const answer = await request(hangup, path, method);
      expect(answer.status).toBe(405);
      expect(answer.headers.get('allow')).toBe('GET, HEAD');
    }
    expect((await request(hangup, `${path}/`)).status).toBe(404);
  },
);

test('/readyz returns 200 and the state of LiveKit when hangup is ready', async () => {
  const hangup = await startTestHangup();
  const ready = (livekit: string) => ({
    status: 200,
    body: { data: { status: 'ready', checks: { store: 'ok', migrations: 'ok' }, livekit } },
  });
  expect((await request(hangup, '/readyz')).body).toMatchObject({
    data: { livekit: expect.stringMatching(/^(no answer yet|answers)$/) },
  });
  await hangup.insertCall({ id: 'c1' });
  await hangup.send('DELETE', '/api/v1/calls/c1');
  expect(await request(hangup, '/readyz')).toMatchObject(ready('answers'));
});

test('/readyz, hangup_livekit_up and the log report LiveKit down after five unanswered requests', async () => {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  // Retries are late, so they send no requests during the test.
  const retry = { initialDelayMs: 60_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 };
  const hangup = await startTestHangup({ livekit, settings: { retry }, inProcess: true });
  const ids = ['c1', 'c2', 'c3', 'c4', 'c5'];
  for (const id of ids) await hangup.insertCall({ id });
  const shown = async () => ({
    readyz: ((await request(hangup, '/readyz')).body as { data: { livekit: string } }).data.livekit,
    metric: (await readMetrics(hangup.url)).value('hangup_livekit_up'),
    isLogged: hangup.log.some(({ message }) => message.startsWith('LiveKit is unreachable')),
  });
  const up = { readyz: 'answers', metric: 1, isLogged: false };
  await livekit.emulator.pause();
  for (const id of ids) {
    expect(await shown(), `before the cancel of ${id}`).toEqual(up);
    await hangup.send('DELETE', `/api/v1/calls/${id}`);
  }
  expect(await shown()).toEqual({ readyz: 'does not answer', metric: 0, isLogged: true });
  await livekit.emulator.resume();
  await expect.poll(() => hangup.log.some(({ message }) => message === 'LiveKit recovered')).toBe(true);
  expect(await shown()).toMatchObject({ readyz: 'answers', metric: 1 });
});

test('/readyz returns 200 when LiveKit is unreachable, and the metrics show the outage', async () => {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const hangup = await startTestHangup({ livekit });
  await hangup.insertCall({ id: 'c1' });
  await livekit.emulator.pause();
  await hangup.send('DELETE', '/api/v1/calls/c1');
  await expect
    .poll(() => hangup.log.some(({ message }) => message.startsWith('LiveKit is unreachable')))
    .toBe(true);
  expect(await request(hangup, '/readyz')).toMatchObject({
    status: 200,
    body: { data: { livekit: 'does not answer' } },
  });
  const metrics = await readMetrics(hangup.url);
  expect(metrics.value('hangup_livekit_up')).toBe(0);
  expect(metrics.value('hangup_room_deletion_oldest_age_seconds')).toBeGreaterThan(0);
  expect(
    metrics.value('hangup_room_deletions', { state: 'retryable' }) +
      metrics.value('hangup_room_deletions', { state: 'running' }),
  ).toBe(1);
  await livekit.emulator.resume();
  await expect
    .poll(async () => {
      const { value } = await readMetrics(hangup.url);
      return value('hangup_room_deletion_attempts_total', { state: 'completed' }) === 1;
    })
    .toBe(true);
  const after = await readMetrics(hangup.url);
  expect(after.value('hangup_livekit_up')).toBe(1);
  expect(after.value('hangup_room_deletion_oldest_age_seconds')).toBe(0);
  expect(after.value('hangup_room_deletion_attempts_total', { state: 'retryable' })).toBeGreaterThan(0);
});

describe('/readyz returns 503', () => {
  onSqlite('while the store accepts no write, and 200 after that', async () => {
    const hangup = await startTestHangup();
    const another = new SqliteDatabase(hangup.databaseFile);
    onTestFinished(() => {
      another.close();
    });
    another.exec('BEGIN IMMEDIATE');
    expect(await request(hangup, '/readyz')).toMatchObject(notReady('store'));
    expect(await request(hangup, '/healthz')).toMatchObject({ status: 200 });
    await expect
      .poll(() => hangup.log)
      .toContainEqual(
        expect.objectContaining({ level: 'error', message: 'not ready: cannot write to the database' }),
      );
    expect((await readMetrics(hangup.url)).value('hangup_store_failures_total')).toBeGreaterThan(0);
    another.exec('ROLLBACK');
    await expect.poll(async () => (await request(hangup, '/readyz')).status).toBe(200);
  });

  test('when another version has changed the schema', async () => {
    const hangup = await startTestHangup();
    await hangup.sql(
      "INSERT INTO __drizzle_migrations (id, hash, created_at) VALUES (999, 'of tomorrow', 1)",
    );
    expect(await request(hangup, '/readyz')).toMatchObject(notReady('migrations'));
  });

  test('while the server is shutting down', async () => {
    const hangup = await startHangup({ inProcess: true });
    const { hostname, port } = new URL(hangup.url);
    const socket = connect(Number(port), hostname);
    let answered = '';
    socket.on('data', (chunk: Buffer) => {
      answered += chunk.toString();
    });
    // The server waits for the rest of the second request during its shutdown.
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /readyz HTTP/1.1\r\n');
    await expect.poll(() => answered).toContain('alive');
    const stopped = hangup.stop();
    socket.write('host: x\r\n\r\n');
    await once(socket, 'close');
    await stopped;
    expect(answered).toMatch(/HTTP\/1\.1 503 .*"Not ready: stopping"/s);
  });
});

test('100 concurrent /readyz requests share database writes', async () => {
  const hangup = await startTestHangup();
  const beganAt = performance.now();
  const answers = await Promise.all(Array.from({ length: 100 }, () => request(hangup, '/readyz')));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  const seconds = Math.floor((performance.now() - beganAt) / 1_000);
  const metrics = await readMetrics(hangup.url);
  // All requests within a second of a result share this result.
  expect(
    metrics.value('hangup_store_operation_duration_seconds_count', { method: 'checkWritable' }),
  ).toBeLessThanOrEqual(1 + seconds);
});

test('successful health checks are not logged, and failed ones are', async () => {
  const hangup = await startTestHangup();
  for (const path of ['/healthz', '/readyz']) await request(hangup, path);
  await readMetrics(hangup.url);
  await request(hangup, '/readyz', 'POST');
  await expect.poll(() => hangup.log.some(({ fields }) => fields.status === 405)).toBe(true);
  expect(
    hangup.log.filter(({ message }) => message === 'request').map(({ fields }) => fields.status),
  ).toEqual([405]);
});
