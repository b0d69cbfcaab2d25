import { createTRPCClient, httpLink, TRPCClientError } from '@trpc/client';
import SqliteDatabase from 'better-sqlite3';
import type { AppRouter } from 'hangup';
import { expect, onTestFinished, test } from 'vitest';
import { buildCall } from '../harness/calls.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { startEmulated } from '../harness/livekit.ts';
import { postWebhook, roomWebhooks } from '../harness/webhooks.ts';

/* hangup's responses while another process holds SQLite's write lock. */

/** The timeout of the clients. */
const CLIENT_TIMEOUT_MS = 5_000;

async function startTestHangup(
  ids: readonly string[],
  options: Parameters<typeof startHangup>[0] = {},
): Promise<Hangup> {
  const hangup = await startHangup(options);
  onTestFinished(() => hangup.stop());
  for (const id of ids) await hangup.insertCall({ id, status: 'active' });
  return hangup;
}

/** Opens a second connection that holds the write lock. */
function lock({ databaseFile }: Hangup): { release(): void } {
  const other = new SqliteDatabase(databaseFile, { timeout: CLIENT_TIMEOUT_MS });
  onTestFinished(() => {
    other.close();
  });
  other.exec('BEGIN IMMEDIATE');
  return { release: () => other.exec('ROLLBACK') };
}

async function cancel({ url, key }: Hangup, id: string) {
  const response = await fetch(`${url}/api/v1/calls/${id}`, {
    method: 'DELETE',
    headers: { 'x-api-key': key },
    signal: AbortSignal.timeout(CLIENT_TIMEOUT_MS),
  });
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    requestId: response.headers.get('x-request-id'),
    body: (await response.json()) as unknown,
  };
}

test('cancels return 503 in time and reads succeed while another process locks the database', async () => {
  const ids = ['c0', 'c1', 'c2', 'c3'];
  const hangup = await startTestHangup(ids);
  const { release } = lock(hangup);
  let answered = 0;
  const cancels = ids.map(async (id) => {
    const answer = await cancel(hangup, id);
    answered += 1;
    return answer;
  });
  expect(await hangup.send('GET', '/healthz', { key: null })).toMatchObject({ status: 200 });
  // This request also records the first use of the key.
  expect(await hangup.send('GET', '/api/v1/calls/c0')).toMatchObject({ status: 200 });
  expect(await hangup.send('GET', '/api/v1/calls')).toMatchObject({ status: 200 });
  expect((await fetch(`${hangup.url}/metrics`)).status).toBe(200);
  expect(answered).toBe(0);
  for (const answer of await Promise.all(cancels)) {
    expect(answer).toEqual({
      status: 503,
      retryAfter: '1',
      requestId: expect.stringMatching(/^req_/),
      body: { error: { message: 'Service unavailable', code: 503 } },
    });
  }
  release();
  for (const id of ids) {
    // No cancel completed after its 503.
    expect(await hangup.send('GET', `/api/v1/calls/${id}`)).toMatchObject({
      body: { data: { status: 'active', roomDeletion: null } },
    });
    expect(await cancel(hangup, id)).toMatchObject({ status: 200 });
  }
});

test('waiting cancels succeed when the lock of another process is released in time', async () => {
  const ids = ['c0', 'c1', 'c2', 'c3'];
  const hangup = await startTestHangup(ids);
  const { release } = lock(hangup);
  const cancels = ids.map((id) => cancel(hangup, id));
  // Queued after the cancels with a shorter timeout. When this request ends, the cancels have been tried.
  expect(await hangup.send('GET', '/readyz', { key: null })).toMatchObject({
    status: 503,
    body: { error: { message: 'Not ready: store' } },
  });
  release();
  for (const answer of await Promise.all(cancels)) expect(answer.status).toBe(200);
});

test('a cancel that waited for the database is answered in time when LiveKit hangs', async () => {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const hangup = await startTestHangup(['c0'], { livekit, settings: { backgroundTimeoutMs: 1_000 } });
  livekit.emulator.setFault('DeleteRoom', { kind: 'hang' });
  const { release } = lock(hangup);
  const cancelled = cancel(hangup, 'c0');
  // Readiness waits a second for the lock.
  expect(await hangup.send('GET', '/readyz', { key: null })).toMatchObject({ status: 503 });
  release();
  expect(await cancelled).toMatchObject({ status: 200 });
});

test('registrations, tRPC and webhooks return 503 while another process locks the database, and LiveKit repeats the webhook', async () => {
  const hangup = await startTestHangup(['c0']);
  const { release } = lock(hangup);
  const headers = () => ({ 'x-api-key': hangup.key });
  const seen: Headers[] = [];
  const trpc = createTRPCClient<AppRouter>({
    links: [
      httpLink({
        url: `${hangup.url}/trpc`,
        headers,
        fetch: async (...args) => {
          const response = await fetch(...(args as Parameters<typeof fetch>));
          seen.push(response.headers);
          return response;
        },
      }),
    ],
  });
  const webhook = roomWebhooks('c0').started();
  const [created, cancelled, delivered] = await Promise.all([
    hangup.send('POST', '/api/v1/calls', { body: { id: 'new' } }),
    trpc.calls.cancel.mutate({ callId: 'c0' }).catch((error: unknown) => error),
    postWebhook(hangup.url, webhook),
  ]);
  expect(created).toMatchObject({ status: 503, body: { error: { message: 'Service unavailable' } } });
  expect(created.headers.get('retry-after')).toBe('1');
  expect(cancelled).toBeInstanceOf(TRPCClientError);
  expect(cancelled).toMatchObject({
    message: 'Service unavailable',
    data: { code: 'SERVICE_UNAVAILABLE', httpStatus: 503 },
  });
  expect(seen[0]?.get('retry-after')).toBe('1');
  const tryAgain = { error: { message: 'Try again', code: 503 } };
  expect(delivered).toEqual({ status: 503, retryAfter: '1', body: tryAgain });
  release();
  expect(await postWebhook(hangup.url, webhook)).toMatchObject({
    status: 200,
    body: { data: { outcome: 'applied' } },
  });
  expect(await hangup.send('POST', '/api/v1/calls', { body: { id: 'new' } })).toMatchObject({ status: 201 });
});

test('the reconciler logs a loop that failed by a lock, and the next run deletes the room', async () => {
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const hangup = await startTestHangup(['c0'], { livekit });
  livekit.emulator.setFault('DeleteRoom', { kind: 'status503' });
  expect(await cancel(hangup, 'c0')).toMatchObject({ status: 200 });
  const { release } = lock(hangup);
  await expect
    .poll(() =>
      hangup.log.some(({ level, message }) => level === 'error' && /^background loop failed/.test(message)),
    )
    .toBe(true);
  release();
  livekit.emulator.setFault('DeleteRoom', null);
  await expect
    .poll(async () => {
      const { body } = await hangup.send('GET', '/api/v1/calls/c0');
      return (body as { data: { roomDeletion: { state: string } } }).data.roomDeletion.state === 'completed';
    })
    .toBe(true);
});

test('a cancel returns 503 with retry-after at once while 2,000 writes wait', async () => {
  const hangup = await startTestHangup(['c0'], { inProcess: true });
  const { release } = lock(hangup);
  const { organizationId } = hangup;
  let ended = 0;
  const writes = Array.from({ length: 2_000 }, async (_, i) => {
    const call = buildCall({ id: `w${i}`, organizationId });
    await hangup.store.changeCall({ kind: 'register', call, apiKeyId: null });
    ended += 1;
  });
  expect(await cancel(hangup, 'c0')).toMatchObject({ status: 503, retryAfter: '1' });
  expect(ended).toBe(0);
  release();
  await Promise.all(writes);
  expect(await cancel(hangup, 'c0')).toMatchObject({ status: 200 });
});

test('500 concurrent cancels delete all rooms at the first attempt and settle all deletions', async () => {
  const ids = Array.from({ length: 500 }, (_, i) => `c${i}`);
  const hangup = await startTestHangup(ids);
  // Without the timeout of a client: a loaded machine takes seconds for so many requests.
  const answers = await Promise.all(ids.map((id) => hangup.send('DELETE', `/api/v1/calls/${id}`)));
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  expect(hangup.log.filter(({ level }) => level !== 'info')).toEqual([]);
  const records = await Promise.all(ids.map((id) => hangup.store.findCall(id)));
  expect(records.filter((record) => record?.deletion?.state !== 'completed')).toEqual([]);
});
