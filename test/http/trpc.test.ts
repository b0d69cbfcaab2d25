import { createTRPCClient, httpBatchLink, httpLink, TRPCClientError } from '@trpc/client';
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server';
import type { AppRouter } from 'hangup';
import { afterAll, beforeAll, describe, expect, expectTypeOf, onTestFinished, test, vi } from 'vitest';
import { type Hangup, onSqlite, startHangup } from '../harness/hangup.ts';

type Outputs = inferRouterOutputs<AppRouter>['calls'];
type Inputs = inferRouterInputs<AppRouter>['calls'];

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const client = (key = hangup.key) =>
  createTRPCClient<AppRouter>({
    links: [httpLink({ url: `${hangup.url}/trpc`, headers: { 'x-api-key': key } })],
  });
const batchingClient = (maxItems = Number.POSITIVE_INFINITY) =>
  createTRPCClient<AppRouter>({
    links: [httpBatchLink({ url: `${hangup.url}/trpc`, maxItems, headers: { 'x-api-key': hangup.key } })],
  });

async function refusal(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof TRPCClientError)) throw new Error('it was not refused');
  return { message: error.message, data: error.data as unknown };
}

test('tRPC create, get, list and cancel return the data of REST', async () => {
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

test('tRPC cancel accepts idempotencyKey', async () => {
  const { calls } = client();
  await calls.create.mutate({ id: 't2' });
  const request = { callId: 't2', idempotencyKey: 'k2' };
  expect(await calls.cancel.mutate(request)).toEqual(await calls.cancel.mutate(request));
});

describe('tRPC errors have the message and the code of REST', () => {
  test('for every error', async () => {
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
    expect(await refusal(client(await hangup.createKey('other')).calls.get.query({ callId: 't3' }))).toEqual({
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

  test('for an unknown procedure, a malformed body and a body over 1 MiB', async () => {
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

describe('a tRPC batch', () => {
  /** Cancels all calls in one tick by a client without a batch limit, as in README.md. */
  const cancelAtOnce = async (prefix: string, count: number) => {
    const ids = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
    for (const id of ids) await hangup.insertCall({ id });
    const { calls } = batchingClient();
    const answers = await Promise.allSettled(ids.map((callId) => calls.cancel.mutate({ callId })));
    const records = await Promise.all(ids.map((id) => hangup.store.findCall(id)));
    return { answers, statuses: records.map((record) => record?.call.status) };
  };

  test('of 12 cancels cancels every call', async () => {
    const { answers, statuses } = await cancelAtOnce('twelve', 12);
    expect(answers).toEqual(
      Array.from({ length: 12 }, (_, index) => ({
        status: 'fulfilled',
        value: { id: `twelve-${index}`, status: 'cancelled' },
      })),
    );
    expect(statuses).toEqual(Array(12).fill('cancelled'));
  });

  test('of 128 cancels cancels every call', async () => {
    const { answers, statuses } = await cancelAtOnce('most', 128);
    expect(answers.filter(({ status }) => status !== 'fulfilled')).toEqual([]);
    expect(statuses).toEqual(Array(128).fill('cancelled'));
  });

  test('of 128 reads has a URL that is not too long', async () => {
    const { calls } = batchingClient();
    const callId = `call_${'0'.repeat(32)}`;
    await hangup.insertCall({ id: callId });
    const read = await Promise.all(Array.from({ length: 128 }, () => calls.get.query({ callId })));
    expect(read.map(({ id }) => id)).toEqual(Array(128).fill(callId));
  });

  // The store on Postgres leaves the turn of the event loop at each read.
  onSqlite('yields to the event loop between its calls', async () => {
    let turn = 0;
    let isOver = false;
    const count = () => {
      turn += 1;
      if (!isOver) setImmediate(count);
    };
    const inside = await startHangup({ inProcess: true });
    onTestFinished(() => inside.stop());
    const turns: number[] = [];
    const { listCalls } = inside.store;
    vi.spyOn(inside.store, 'listCalls').mockImplementation((query) => {
      turns.push(turn);
      return listCalls(query);
    });
    count();
    const { calls } = createTRPCClient<AppRouter>({
      links: [httpBatchLink({ url: `${inside.url}/trpc`, headers: { 'x-api-key': inside.key } })],
    });
    await Promise.all(Array.from({ length: 20 }, () => calls.list.query({ limit: 1 })));
    isOver = true;
    expect(turns).toHaveLength(20);
    expect(new Set(turns).size).toBe(20);
  });

  test('of 129 calls is refused with the limit and the remedy, and no call is made', async () => {
    const { answers, statuses } = await cancelAtOnce('many', 129);
    expect(statuses).toEqual(Array(129).fill('initiated'));
    for (const answer of answers) {
      expect(answer).toMatchObject({
        status: 'rejected',
        reason: {
          message: 'Batch has more than 128 calls: set maxItems: 128 in httpBatchLink',
          data: { code: 'BAD_REQUEST', httpStatus: 400 },
        },
      });
    }
  });

  test('is split by a client that has the limit', async () => {
    const { calls } = batchingClient(128);
    const answers = await Promise.all(Array.from({ length: 200 }, () => calls.list.query({ limit: 1 })));
    expect(answers).toHaveLength(200);
  });
});

describe('infinite queries of TanStack Query', () => {
  beforeAll(async () => {
    for (const [id, direction] of [
      ['in-1', 'inbound'],
      ['out-1', 'outbound'],
      ['in-2', 'inbound'],
      ['in-3', 'inbound'],
    ] as const) {
      await hangup.insertCall({ id, direction, agentId: 'infinite' });
    }
  });
  /** Reads all pages as @trpc/tanstack-react-query does. scripts/test-clients.ts runs that library. */
  const pagesOf = async (input: Inputs['list']) => {
    const pages: string[][] = [];
    let cursor: string | null = null;
    do {
      const page: Outputs['list'] = await client().calls.list.query({
        ...input,
        limit: 2,
        agentId: 'infinite',
        cursor,
        direction: 'forward',
      });
      pages.push(page.calls.map(({ id }) => id).sort());
      cursor = page.pagination.nextCursor;
    } while (cursor !== null);
    return pages;
  };

  test('return every page without a filter', async () => {
    const pages = await pagesOf({});
    expect(pages.map(({ length }) => length)).toEqual([2, 2]);
    expect(pages.flat().sort()).toEqual(['in-1', 'in-2', 'in-3', 'out-1']);
  });

  test('return every page with the filter callDirection, which the client library does not replace', async () => {
    const pages = await pagesOf({ callDirection: 'inbound' });
    expect(pages.map(({ length }) => length)).toEqual([2, 1]);
    expect(pages.flat().sort()).toEqual(['in-1', 'in-2', 'in-3']);
    expect(await pagesOf({ callDirection: 'outbound' })).toEqual([['out-1']]);
  });

  test('follow the cursor forward and backward', async () => {
    const { list } = client().calls;
    const input = { limit: 2, agentId: 'infinite' };
    const cursor = (await list.query(input)).pagination.nextCursor;
    const backward = await list.query({ ...input, cursor, direction: 'backward' });
    expect(backward).toEqual(await list.query({ ...input, cursor }));
    expect(backward.calls).toHaveLength(2);
  });

  test('do not change the filter direction of other queries', async () => {
    const { list } = client().calls;
    const inbound = await list.query({ agentId: 'infinite', direction: 'inbound' });
    expect(inbound.calls.map(({ id }) => id).sort()).toEqual(['in-1', 'in-2', 'in-3']);
    expect(await list.query({ agentId: 'infinite', callDirection: 'inbound' })).toEqual(inbound);
    expect(await list.query({ agentId: 'infinite', callDirection: 'inbound', direction: 'inbound' })).toEqual(
      inbound,
    );
  });

  test('are refused with the name when two filters differ or a filter is invalid', async () => {
    const { list } = client().calls;
    expect(await refusal(list.query({ callDirection: 'inbound', direction: 'outbound' }))).toEqual({
      message: 'callDirection: cannot be combined with another direction',
      data: { code: 'BAD_REQUEST', httpStatus: 400 },
    });
    const response = await hangup.send(
      'GET',
      `/trpc/calls.list?input=${encodeURIComponent('{"callDirection":"up"}')}`,
    );
    expect(response).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringMatching(/^callDirection: /) } },
    });
  });

  test("return every page of a call's events", async () => {
    await hangup.send('POST', '/api/v1/calls', { body: { id: 'infinite-events' } });
    await hangup.send('DELETE', '/api/v1/calls/infinite-events');
    const { events } = client().calls;
    const first = await events.query({
      callId: 'infinite-events',
      limit: 1,
      cursor: null,
      direction: 'forward',
    });
    expect(first.events.map(({ action }) => action)).toEqual(['call.created']);
    const second = await events.query({
      callId: 'infinite-events',
      limit: 1,
      cursor: first.pagination.nextCursor,
      direction: 'forward',
    });
    expect(second.events.map(({ to }) => to)).toEqual(['cancelled']);
  });

  test('do not exist in REST', async () => {
    for (const [parameter, value] of [
      ['direction', 'forward'],
      ['direction', 'backward'],
      ['cursor', 'null'],
    ]) {
      const { status, body } = await hangup.send('GET', `/api/v1/calls?${parameter}=${value}`);
      expect({ status, body }).toMatchObject({
        status: 400,
        body: { error: { message: expect.stringMatching(`^${parameter}: `) } },
      });
    }
    const { body } = await hangup.send('GET', '/openapi.json');
    expect(JSON.stringify(body)).not.toMatch(/callDirection|backward/);
  });
});

describe('a request that hangup answers without tRPC gets the response of tRPC', () => {
  const QUERIES: readonly (readonly [title: string, path: string, search: string])[] = [
    ['a call', 'calls.get', 'input={"callId":"same"}'],
    ['a batch', 'calls.get,calls.list', 'batch=1&input={"0":{"callId":"same"},"1":{"limit":1}}'],
    ['a batch of different results', 'calls.get,calls.get', 'batch=1&input={"0":{"callId":"same"},"1":{}}'],
    [
      'a batch of equal errors',
      'calls.get,calls.get',
      'batch=1&input={"0":{"callId":"a"},"1":{"callId":"b"}}',
    ],
    ['an unknown call', 'calls.get', 'input={"callId":"none"}'],
    ['an unknown call and an unknown key', 'calls.get', 'input={"callId":"none","page":1}'],
    ['no call id', 'calls.get', 'input={}'],
    ['no input', 'calls.get', ''],
    ['a null input', 'calls.list', 'input=null'],
    ['malformed JSON', 'calls.list', 'input={'],
    ['a duplicate name', 'calls.list', 'input={"limit":1,"limit":2}'],
    ['an input of superjson', 'calls.list', 'input={"json":{"limit":1}}'],
    ['an unknown parameter', 'calls.list', 'page=1'],
    ['an index without a call', 'calls.list', 'batch=1&input={"1":{}}'],
    ['a batch that is a list', 'calls.list', 'batch=1&input=[]'],
  ];
  const BODIES: readonly (readonly [title: string, path: string, body: string])[] = [
    ['an unknown call', 'calls.cancel', '{"callId":"none"}'],
    ['an unknown key', 'calls.create', '{"phone":"1"}'],
    ['an empty body', 'calls.cancel', ''],
    ['malformed JSON', 'calls.create', '{'],
    ['a batch', 'calls.cancel,calls.create', '{"0":{"callId":"none"},"1":{"id":"same"}}'],
  ];
  /** hangup passes a request with the header `trpc-accept` to tRPC, whose format changes only with another value. */
  const both = (headers: Record<string, string>) => [
    headers,
    { ...headers, 'trpc-accept': 'application/json' },
  ];
  const answerOf = async (path: string, init: RequestInit) => {
    const response = await fetch(`${hangup.url}/trpc/${path}`, init);
    const names = ['content-type', 'vary', 'allow', 'cache-control', 'www-authenticate'];
    const headers = names.map((name) => [name, response.headers.get(name)]);
    return { status: response.status, headers, text: await response.text() };
  };
  beforeAll(() => hangup.insertCall({ id: 'same' }));

  test.each(QUERIES)('for a query with %s', async (_, path, search) => {
    for (const key of [
      hangup.key,
      await hangup.createKey('other'),
      await hangup.createKey('acme', []),
      'none',
    ]) {
      const [direct, throughTrpc] = await Promise.all(
        both({ 'x-api-key': key }).map((headers) => answerOf(`${path}?${search}`, { headers })),
      );
      expect(direct).toEqual(throughTrpc);
    }
  });

  test.each(BODIES)('for a mutation with %s', async (_, path, body) => {
    const batch = path.includes(',') ? '?batch=1' : '';
    for (const key of [hangup.key, await hangup.createKey('acme', []), 'none']) {
      for (const type of ['application/json', 'text/plain']) {
        const [direct, throughTrpc] = await Promise.all(
          both({ 'x-api-key': key, 'content-type': type }).map((headers) =>
            answerOf(`${path}${batch}`, { method: 'POST', headers, body }),
          ),
        );
        expect(direct).toEqual(throughTrpc);
      }
    }
  });
});

test('the types of a tRPC client have literal statuses', () => {
  type Live = 'initiated' | 'connecting' | 'ringing' | 'active';
  type Ended = 'completed' | 'failed' | 'cancelled' | 'no_answer' | 'busy';
  expectTypeOf<Outputs['get']['status']>().toEqualTypeOf<Live | Ended>();
  expectTypeOf<Outputs['list']['calls'][number]['status']>().toEqualTypeOf<Live | Ended>();
  expectTypeOf<Outputs['cancel']['status']>().toEqualTypeOf<'cancelled'>();
  expectTypeOf<Outputs['get']['direction']>().toEqualTypeOf<'inbound' | 'outbound'>();
  expectTypeOf<NonNullable<Inputs['list']['status']>>().toEqualTypeOf<(Live | Ended)[]>();
});
