import { createTRPCClient, httpBatchLink, httpLink, TRPCClientError } from '@trpc/client';
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server';
import type { AppRouter } from 'hangup';
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const client = (key = hangup.key, link: typeof httpLink = httpLink) =>
  createTRPCClient<AppRouter>({
    links: [link({ url: `${hangup.url}/trpc`, headers: { 'x-api-key': key } })],
  });

async function refusal(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof TRPCClientError)) throw new Error('it was not refused');
  return { message: error.message, data: error.data as unknown };
}

test('create, get, list and cancel, as over REST', async () => {
  const { calls } = client();
  const created = await calls.create.mutate({ id: 't1', agentId: 'a', scheduledAt: '2026-11-23T08:00:00Z' });
  expect(created).toMatchObject({ id: 't1', status: 'initiated', scheduledAt: '2026-11-23T08:00:00.000Z' });
  expect(await calls.get.query({ callId: 't1' })).toMatchObject({ id: 't1', agent: { id: 'a' } });
  const page = await calls.list.query({ agentId: 'a', status: ['initiated'], limit: 5 });
  expect(page).toMatchObject({ calls: [{ id: 't1' }], pagination: { total: 1, limit: 5 } });
  expect(await calls.cancel.mutate({ callId: 't1', reason: 'test' })).toEqual({
    id: 't1',
    status: 'cancelled',
  });
  expect(await calls.get.query({ callId: 't1' })).toMatchObject({
    status: 'cancelled',
    cancelReason: 'test',
  });
});

test('an Idempotency-Key is an input', async () => {
  const { calls } = client();
  await calls.create.mutate({ id: 't2' });
  const request = { callId: 't2', idempotencyKey: 'k2' };
  expect(await calls.cancel.mutate(request)).toEqual(await calls.cancel.mutate(request));
});

describe('errors carry the message and the code of REST', () => {
  test('all of them', async () => {
    const { calls } = client();
    const data = (code: string, httpStatus: number) => ({ code, httpStatus });
    await calls.create.mutate({ id: 't3', roomName: 't3' });
    await calls.cancel.mutate({ callId: 't3' });
    expect(await refusal(calls.cancel.mutate({ callId: 't3' }))).toEqual({
      message: 'Cannot cancel call with status: cancelled',
      data: data('BAD_REQUEST', 400),
    });
    expect(await refusal(client('hangup_live_x').calls.get.query({ callId: 't3' }))).toEqual({
      message: 'Unauthorized',
      data: data('UNAUTHORIZED', 401),
    });
    expect(await refusal(client(await hangup.makeKey('other')).calls.get.query({ callId: 't3' }))).toEqual({
      message: 'Access denied - call belongs to different organization',
      data: data('FORBIDDEN', 403),
    });
    expect(await refusal(calls.get.query({ callId: 'none' }))).toEqual({
      message: 'Call not found',
      data: data('NOT_FOUND', 404),
    });
    expect(await refusal(calls.create.mutate({ id: 't3' }))).toEqual({
      message: 'Call id is already taken',
      data: data('CONFLICT', 409),
    });
    expect(await refusal(calls.list.query({ limit: Number.POSITIVE_INFINITY }))).toEqual({
      message: expect.stringMatching(/^limit: /),
      data: data('BAD_REQUEST', 400),
    });
    expect(await refusal(calls.cancel.mutate({ callId: 't3', reason: 'x'.repeat(501) }))).toEqual({
      message: expect.stringMatching(/^reason: /),
      data: data('BAD_REQUEST', 400),
    });
  });

  test('an unknown procedure, a malformed body, a body over 1 MiB', async () => {
    const post = async (path: string, body: string) => {
      const response = await fetch(`${hangup.url}/trpc/${path}`, {
        method: 'POST',
        headers: { 'x-api-key': hangup.key, 'content-type': 'application/json' },
        body,
      });
      expect(response.headers.get('content-type')).toMatch(/^application\/json/);
      const text = await response.text();
      expect(text).not.toMatch(/stack|at .*\.ts/);
      return response.status;
    };
    expect(await post('calls.none', '{}')).toBe(404);
    expect(await post('calls.create', '{')).toBe(400);
    expect(await post('calls.create', JSON.stringify({ agentId: 'x'.repeat(1024 * 1024) }))).toBe(413);
    expect(await post('calls.get', '{}')).toBe(405);
  });
});

describe('batches', () => {
  const batched = (count: number, key = hangup.key) => {
    const { calls } = createTRPCClient<AppRouter>({
      links: [httpBatchLink({ url: `${hangup.url}/trpc`, headers: { 'x-api-key': key } })],
    });
    return Promise.allSettled(Array.from({ length: count }, () => calls.list.query({ limit: 1 })));
  };

  test('ten at once', async () => {
    expect((await batched(10)).every(({ status }) => status === 'fulfilled')).toBe(true);
  });

  test('eleven are refused', async () => {
    expect((await batched(11)).every(({ status }) => status === 'rejected')).toBe(true);
  });
});

test('a client sees literal statuses, not string', () => {
  type Outputs = inferRouterOutputs<AppRouter>['calls'];
  type Inputs = inferRouterInputs<AppRouter>['calls'];
  type Live = 'initiated' | 'connecting' | 'ringing' | 'active';
  type Ended = 'completed' | 'failed' | 'cancelled' | 'no_answer' | 'busy';
  expectTypeOf<Outputs['get']['status']>().toEqualTypeOf<Live | Ended>();
  expectTypeOf<Outputs['list']['calls'][number]['status']>().toEqualTypeOf<Live | Ended>();
  expectTypeOf<Outputs['cancel']['status']>().toEqualTypeOf<'cancelled'>();
  expectTypeOf<Outputs['get']['direction']>().toEqualTypeOf<'inbound' | 'outbound'>();
  expectTypeOf<NonNullable<Inputs['list']['status']>>().toEqualTypeOf<(Live | Ended)[]>();
});
