import { createTRPCClient, httpBatchLink, TRPCClientError } from '@trpc/client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { AppRouter } from '../../src/api/router.ts';
import { formatKey } from '../../src/domain/api-key.ts';
import { openStream, readAnswer } from '../harness/event-stream.ts';
import {
  type Answer,
  type Hangup,
  startHangup,
  type TestSettings,
  timersForCounts,
} from '../harness/hangup.ts';
import { readMetrics } from '../harness/metrics.ts';
import { postWebhook, roomWebhooks, sign } from '../harness/webhooks.ts';

/** Small limits. Each test uses a key and an address of its own. */
const LIMITS = { calls: 4, cancels: 3, anonymous: 2 };
/** Has the form of a key, and no organization. */
const WRONG_KEY = formatKey('0'.repeat(43));

const start = (settings: TestSettings, { inProcess = false } = {}) =>
  startHangup({ settings, inProcess, timers: timersForCounts() });

let hangup: Hangup;
beforeAll(async () => {
  hangup = await start({ rateLimits: LIMITS, trustedProxies: ['127.0.0.1'] });
});
afterAll(() => hangup.stop());

let addresses = 0;
/** Returns the headers of a proxy for a client with an address of its own. */
function newClient(): Record<string, string> {
  addresses += 1;
  return { 'x-forwarded-for': `203.0.113.${addresses}` };
}

const limitOf = ({ headers }: Pick<Answer, 'headers'>) => ({
  policy: headers.get('ratelimit-policy'),
  // The seconds depend on the time that the test takes.
  limit: headers.get('ratelimit')?.replaceAll(/;t=\d+/g, '') ?? null,
});
const NO_LIMIT = { policy: null, limit: null };
const calls = (remaining: number) => ({ policy: '"calls";q=4;w=60', limit: `"calls";r=${remaining}` });
const cancels = (remaining: number) => ({ policy: '"cancels";q=3;w=60', limit: `"cancels";r=${remaining}` });
const anonymous = (remaining: number) => ({
  policy: '"anonymous";q=2;w=60',
  limit: `"anonymous";r=${remaining}`,
});

/** Asserts that an answer is a 429 of the contract, and returns its seconds. */
function expectRefused({ status, headers, body }: Answer, message: string): number {
  expect(status).toBe(429);
  const seconds = Number(headers.get('retry-after'));
  expect(seconds).toBeGreaterThanOrEqual(1);
  expect(seconds).toBeLessThanOrEqual(60);
  expect(headers.get('ratelimit')).toMatch(new RegExp(`^"\\w+";r=0;t=${seconds}$`));
  expect(body).toEqual({ error: { message: `${message}: retry after ${seconds} s`, code: 429 } });
  return seconds;
}
const TOO_MANY_CALLS = 'Too many requests with this API key';
const TOO_MANY_CANCELS = 'Too many cancels with this API key';
const TOO_MANY_ANONYMOUS = 'Too many requests without a valid API key from this address';

describe('the calls of an API key', () => {
  test('share one budget over REST and tRPC, whatever their results are', async () => {
    const key = await hangup.createKey('acme');
    const first = await hangup.send('GET', '/api/v1/calls', { key });
    expect(first.status).toBe(200);
    expect(limitOf(first)).toEqual(calls(3));
    expect(first.headers.get('ratelimit')).toMatch(/^"calls";r=3;t=(60|5\d)$/);
    expect(first.headers.get('retry-after')).toBeNull();
    const missing = await hangup.send('GET', '/api/v1/calls/none', { key });
    expect([missing.status, limitOf(missing)]).toEqual([404, calls(2)]);
    const invalid = await hangup.send('POST', '/api/v1/calls', { key, body: { x: 1 } });
    expect([invalid.status, limitOf(invalid)]).toEqual([400, calls(1)]);
    const overTrpc = await hangup.send('GET', '/trpc/calls.list?input={}', { key });
    expect([overTrpc.status, limitOf(overTrpc)]).toEqual([200, calls(0)]);
    expectRefused(await hangup.send('GET', '/api/v1/calls', { key }), TOO_MANY_CALLS);
    expectRefused(await hangup.send('POST', '/api/v1/calls', { key, body: {} }), TOO_MANY_CALLS);
    const head = await hangup.send('HEAD', '/api/v1/calls', { key });
    expect([head.status, head.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^\d+$/)]);
  });

  test('that are refused change nothing', async () => {
    const key = await hangup.createKey('acme');
    for (let i = 0; i < LIMITS.calls; i += 1) await hangup.send('GET', '/api/v1/calls/none', { key });
    const refused = await hangup.send('POST', '/api/v1/calls', { key, body: { id: 'refused' } });
    expect(refused.status).toBe(429);
    expect(await hangup.store.findCall('refused')).toBeNull();
  });

  test('have a budget for each key', async () => {
    const [one, other] = [await hangup.createKey('acme'), await hangup.createKey('acme')];
    for (let i = 0; i <= LIMITS.calls; i += 1) await hangup.send('GET', '/api/v1/calls', { key: one });
    expect((await hangup.send('GET', '/api/v1/calls', { key: one })).status).toBe(429);
    const answer = await hangup.send('GET', '/api/v1/calls', { key: other });
    expect([answer.status, limitOf(answer)]).toEqual([200, calls(3)]);
  });

  test('get 429 from whatever address they come', async () => {
    const key = await hangup.createKey('acme');
    const statuses = [];
    for (let i = 0; i < 6; i += 1) {
      statuses.push((await hangup.send('GET', '/api/v1/calls', { key, headers: newClient() })).status);
    }
    expect(statuses).toEqual([200, 200, 200, 200, 429, 429]);
  });

  test('all count when many arrive at once', async () => {
    const key = await hangup.createKey('acme');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => hangup.send('GET', '/api/v1/calls', { key })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(LIMITS.calls);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(20 - LIMITS.calls);
  });

  test('at unknown paths and with wrong methods do not count', async () => {
    const key = await hangup.createKey('acme');
    for (const [method, path] of [
      ['GET', '/api/v1/none'],
      ['PUT', '/api/v1/calls'],
      ['GET', '/trpc/none'],
      ['GET', '/none'],
    ] as const) {
      expect(limitOf(await hangup.send(method, path, { key })), path).toEqual(NO_LIMIT);
    }
    expect(limitOf(await hangup.send('GET', '/api/v1/calls', { key }))).toEqual(calls(3));
  });
});

describe('cancels', () => {
  test('have a budget of their own over REST and tRPC', async () => {
    const key = await hangup.createKey('acme');
    for (let i = 0; i <= LIMITS.calls; i += 1) await hangup.send('GET', '/api/v1/calls', { key });
    for (const id of ['cancel-1', 'cancel-2', 'cancel-3']) await hangup.insertCall({ id, status: 'active' });
    const first = await hangup.send('DELETE', '/api/v1/calls/cancel-1', { key });
    expect([first.status, limitOf(first)]).toEqual([200, cancels(2)]);
    const second = await hangup.send('POST', '/trpc/calls.cancel', { key, body: { callId: 'cancel-2' } });
    expect([second.status, limitOf(second)]).toEqual([200, cancels(1)]);
    await hangup.send('DELETE', '/api/v1/calls/none', { key });
    expectRefused(await hangup.send('DELETE', '/api/v1/calls/cancel-3', { key }), TOO_MANY_CANCELS);
    expect((await hangup.store.findCall('cancel-3'))?.call.status).toBe('active');
  });

  test('with an Idempotency-Key count again when they are repeated', async () => {
    const key = await hangup.createKey('acme');
    await hangup.insertCall({ id: 'repeated', status: 'active' });
    const headers = { 'idempotency-key': 'repeated' };
    const cancel = () => hangup.send('DELETE', '/api/v1/calls/repeated', { key, headers });
    expect(limitOf(await cancel())).toEqual(cancels(2));
    const replay = await cancel();
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
    expect(limitOf(replay)).toEqual(cancels(1));
  });
});

test('cancellations and the read of the key itself are never refused and have no limit headers', async () => {
  const key = await hangup.createKey('stopping');
  for (let i = 0; i < 6; i += 1) {
    await hangup.send('GET', '/api/v1/calls', { key });
    await hangup.send('DELETE', '/api/v1/calls/none', { key });
  }
  expect((await hangup.send('GET', '/api/v1/calls', { key })).status).toBe(429);
  // `hangup mcp` offers the stop only to a key whose scopes it has read.
  for (const path of ['/api/v1/api-keys/current', '/trpc/apiKeys.current']) {
    const answer = await hangup.send('GET', path, { key });
    expect([answer.status, limitOf(answer)], path).toEqual([200, NO_LIMIT]);
  }
  for (let i = 0; i < 8; i += 1) {
    const body = { all: true, reason: 'test', hold: true };
    const created = await hangup.send('POST', '/api/v1/cancellations', { key, body });
    expect([created.status, limitOf(created)]).toEqual([202, NO_LIMIT]);
    const { id } = (created.body as { data: { id: string } }).data;
    for (const [method, path] of [
      ['GET', '/api/v1/cancellations'],
      ['GET', `/api/v1/cancellations/${id}`],
      ['DELETE', `/api/v1/cancellations/${id}/hold`],
      ['GET', '/trpc/cancellations.list?input={}'],
    ] as const) {
      const answer = await hangup.send(method, path, { key });
      expect([answer.status, limitOf(answer)]).toEqual([200, NO_LIMIT]);
    }
  }
});

describe('a tRPC batch', () => {
  const inputs = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [index, {}]));
  const path = `/trpc/${Array(6).fill('calls.list').join(',')}?batch=1&input=${encodeURIComponent(JSON.stringify(inputs))}`;
  const batch = (key: string, headers: Record<string, string> = {}) =>
    hangup.send('GET', path, { key, headers });

  test('counts each of its calls, and refuses only those beyond the limit', async () => {
    const key = await hangup.createKey('acme');
    const answer = await batch(key);
    expect(answer.status).toBe(207);
    expect(limitOf(answer)).toEqual(calls(0));
    const seconds = answer.headers.get('retry-after');
    const refused = {
      error: {
        message: `${TOO_MANY_CALLS}: retry after ${seconds} s`,
        code: -32029,
        data: { code: 'TOO_MANY_REQUESTS', httpStatus: 429 },
      },
    };
    const statuses = (answer.body as object[]).map((one) => ('error' in one ? 429 : 200));
    expect(statuses).toEqual([200, 200, 200, 200, 429, 429]);
    expect((answer.body as object[]).slice(LIMITS.calls)).toEqual([refused, refused]);
  });

  test('of calls and cancels has both limits in its headers', async () => {
    const key = await hangup.createKey('acme');
    const answer = await hangup.send('POST', '/trpc/calls.create,calls.cancel?batch=1', {
      key,
      body: { 0: {}, 1: { callId: 'none' } },
    });
    const policies = answer.headers.get('ratelimit-policy')?.split(', ').toSorted();
    expect(policies).toEqual(['"calls";q=4;w=60', '"cancels";q=3;w=60']);
    expect(
      answer.headers
        .get('ratelimit')
        ?.replaceAll(/;t=\d+/g, '')
        .split(', ')
        .toSorted(),
    ).toEqual(['"calls";r=3', '"cancels";r=2']);
  });

  test('has the headers also as a stream', async () => {
    const key = await hangup.createKey('acme');
    const response = await fetch(hangup.url + path, {
      headers: { 'x-api-key': key, 'trpc-accept': 'application/jsonl' },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('transfer-encoding')).toBe('chunked');
    expect(limitOf(response)).toEqual(calls(0));
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await response.text()).match(/"httpStatus":429/g)).toHaveLength(2);
  });

  test('with a wrong key counts once, because it is one attempt', async () => {
    const client = newClient();
    const answer = await batch(WRONG_KEY, client);
    expect([answer.status, limitOf(answer)]).toEqual([401, anonymous(1)]);
  });
});

describe('an event stream', () => {
  test('counts once, at its start, and is refused beyond the limit', async () => {
    const key = await hangup.createKey('streaming');
    await using stream = await openStream({ url: hangup.url, key });
    expect(limitOf(stream.response)).toEqual(calls(3));
    const created = [];
    for (let i = 0; i < 3; i += 1) {
      created.push(await hangup.send('POST', '/api/v1/calls', { key, body: { id: `streamed-${i}` } }));
    }
    expect(created.map(limitOf)).toEqual([calls(2), calls(1), calls(0)]);
    await expect.poll(() => stream.events().length).toBe(3);
    expectRefused(await hangup.send('GET', '/api/v1/events', { key }), TOO_MANY_CALLS);
  });

  test('without a valid key gets 401 and then 429', async () => {
    const headers = newClient();
    const statuses = [];
    for (let i = 0; i < 3; i += 1) {
      statuses.push((await hangup.send('GET', '/api/v1/events', { key: WRONG_KEY, headers })).status);
    }
    expect(statuses).toEqual([401, 401, 429]);
  });

  test('over tRPC counts too', async () => {
    const key = await hangup.createKey('streaming');
    const subscribe = () =>
      fetch(`${hangup.url}/trpc/events.stream?input={}`, { headers: { 'x-api-key': key } });
    const first = await subscribe();
    expect([first.status, limitOf(first)]).toEqual([200, calls(3)]);
    await first.body?.cancel();
    for (let i = 1; i < LIMITS.calls; i += 1) await hangup.send('GET', '/api/v1/calls', { key });
    const refused = await subscribe();
    expect(limitOf(refused)).toEqual(calls(0));
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await readAnswer(refused)).toEqual({ status: 429, text: expect.stringContaining(TOO_MANY_CALLS) });
  });
});

test("tRPC's own client gets 429 with the message", async () => {
  const key = await hangup.createKey('acme');
  const client = createTRPCClient<AppRouter>({
    links: [httpBatchLink({ url: `${hangup.url}/trpc`, headers: { 'x-api-key': key } })],
  });
  for (let i = 0; i < LIMITS.calls; i += 1) await client.calls.list.query({});
  const error = await client.calls.list.query({}).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TRPCClientError);
  expect(error).toMatchObject({
    message: expect.stringContaining(TOO_MANY_CALLS),
    data: { code: 'TOO_MANY_REQUESTS', httpStatus: 429 },
  });
});

describe('requests without a valid key', () => {
  test.each([
    ['no key', null],
    ['a wrong key', WRONG_KEY],
    ['text that is not a key', 'wrong'],
  ])('get 401 and then 429: %s', async (_, key) => {
    const headers = newClient();
    const first = await hangup.send('GET', '/api/v1/calls', { key, headers });
    expect([first.status, limitOf(first)]).toEqual([401, anonymous(1)]);
    const second = await hangup.send('DELETE', '/api/v1/calls/none', { key, headers });
    expect([second.status, limitOf(second)]).toEqual([401, anonymous(0)]);
    const third = await hangup.send('POST', '/api/v1/cancellations', { key, headers, body: {} });
    expectRefused(third, TOO_MANY_ANONYMOUS);
    expect(third.headers.get('www-authenticate')).toBeNull();
  });

  test('with an expired key count too', async () => {
    const headers = newClient();
    const key = await hangup.createKey('acme', ['calls:read'], Date.now() - 1);
    const statuses = [];
    for (let i = 0; i < 3; i += 1) {
      statuses.push((await hangup.send('GET', '/api/v1/calls', { key, headers })).status);
    }
    expect(statuses).toEqual([401, 401, 429]);
  });

  test('over tRPC get the shape of tRPC', async () => {
    const headers = newClient();
    for (let i = 0; i < 2; i += 1) await hangup.send('GET', '/trpc/calls.list', { key: null, headers });
    const answer = await hangup.send('GET', '/trpc/calls.list', { key: null, headers });
    expect(answer.status).toBe(429);
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(answer.body).toMatchObject({
      error: {
        message: expect.stringContaining(TOO_MANY_ANONYMOUS),
        data: { code: 'TOO_MANY_REQUESTS', httpStatus: 429 },
      },
    });
  });

  test('do not affect a valid key from the same address: an office can stop calls while somebody guesses keys', async () => {
    const headers = newClient();
    for (let i = 0; i < 5; i += 1) await hangup.send('GET', '/api/v1/calls', { key: WRONG_KEY, headers });
    expect((await hangup.send('GET', '/api/v1/calls', { key: WRONG_KEY, headers })).status).toBe(429);
    const key = await hangup.createKey('acme');
    await hangup.insertCall({ id: 'office', status: 'active' });
    expect((await hangup.send('DELETE', '/api/v1/calls/office', { key, headers })).status).toBe(200);
    const body = { callIds: ['office'], reason: 'test' };
    expect((await hangup.send('POST', '/api/v1/cancellations', { key, headers, body })).status).toBe(202);
    expect((await hangup.send('GET', '/trpc/calls.list?input={}', { key, headers })).status).toBe(200);
  });

  test('have a budget for each address', async () => {
    const headers = newClient();
    for (let i = 0; i < 4; i += 1) await hangup.send('GET', '/api/v1/calls', { key: null, headers });
    const answer = await hangup.send('GET', '/api/v1/calls', { key: null, headers: newClient() });
    expect([answer.status, limitOf(answer)]).toEqual([401, anonymous(1)]);
  });

  test('share the budget of an IPv6 /64', async () => {
    const statusFrom = async (address: string) => {
      const headers = { 'x-forwarded-for': address };
      return (await hangup.send('GET', '/api/v1/calls', { key: null, headers })).status;
    };
    expect(await statusFrom('2001:db8:0:1::1')).toBe(401);
    expect(await statusFrom('2001:db8:0:1:ffff:ffff:ffff:ffff')).toBe(401);
    expect(await statusFrom('2001:0db8::1:0:0:0:2')).toBe(429);
    expect(await statusFrom('[2001:db8:0:1::3]:443')).toBe(429);
    expect(await statusFrom('2001:db8:0:2::1')).toBe(401);
  });

  test('share the budget of /openapi.json', async () => {
    const headers = newClient();
    const first = await hangup.send('GET', '/openapi.json', { key: null, headers });
    expect([first.status, limitOf(first)]).toEqual([200, anonymous(1)]);
    await hangup.send('GET', '/api/v1/calls', { key: null, headers });
    expectRefused(await hangup.send('GET', '/openapi.json', { key: null, headers }), TOO_MANY_ANONYMOUS);
  });

  test('at unknown paths, with wrong methods and at the endpoints of monitoring do not count', async () => {
    const headers = newClient();
    for (let i = 0; i < 4; i += 1) {
      for (const [method, path] of [
        ['GET', '/none'],
        ['GET', '/api/v1/none'],
        ['PUT', '/api/v1/calls'],
        ['OPTIONS', '/api/v1/calls'],
        ['GET', '/healthz'],
        ['GET', '/readyz'],
        ['HEAD', '/metrics'],
      ] as const) {
        const answer = await hangup.send(method, path, { key: null, headers });
        expect(answer.status, path).not.toBe(429);
        expect(limitOf(answer), path).toEqual(NO_LIMIT);
      }
    }
    const answer = await hangup.send('GET', '/api/v1/calls', { key: null, headers });
    expect([answer.status, limitOf(answer)]).toEqual([401, anonymous(1)]);
  });
});

test('a spoofed x-forwarded-for changes nothing', async () => {
  const other = await start({ rateLimits: LIMITS });
  onTestFinished(() => other.stop());
  const statuses = [];
  for (let i = 0; i < 4; i += 1) {
    statuses.push((await other.send('GET', '/api/v1/calls', { key: null, headers: newClient() })).status);
  }
  expect(statuses).toEqual([401, 401, 429, 429]);
  // Through a proxy, the client's own entries come before the entry of the proxy.
  const throughProxy = [];
  const { 'x-forwarded-for': real } = newClient();
  for (let i = 0; i < 4; i += 1) {
    const headers = { 'x-forwarded-for': `198.51.100.${i}, ${real}` };
    throughProxy.push((await hangup.send('GET', '/api/v1/calls', { key: null, headers })).status);
  }
  expect(throughProxy).toEqual([401, 401, 429, 429]);
});

describe('webhooks', () => {
  test('with a correct signature are never refused, also from an address that is', async () => {
    const other = await start({ rateLimits: LIMITS });
    onTestFinished(() => other.stop());
    const body = roomWebhooks('unsigned').started();
    const authorization = await sign(body, { apiSecret: 'a-wrong-secret-of-32-characters---' });
    const forged = () => postWebhook(other.url, body, { authorization });
    expect((await forged()).status).toBe(401);
    expect((await forged()).status).toBe(401);
    expect(await forged()).toMatchObject({
      status: 429,
      body: { error: { message: expect.stringContaining(TOO_MANY_ANONYMOUS), code: 429 } },
    });
    for (let i = 0; i < 8; i += 1) {
      const response = await fetch(`${other.url}/webhooks/livekit`, {
        method: 'POST',
        headers: { authorization: await sign(body) },
        body,
      });
      expect(response.status).toBe(200);
      expect(limitOf(response)).toEqual(NO_LIMIT);
    }
    const metrics = await readMetrics(other.url);
    // The operator sees each forged webhook, also those with 429.
    const refusals = metrics.samples.filter(({ labels }) => labels.outcome === 'unauthorized');
    expect(refusals.reduce((sum, { value }) => sum + value, 0)).toBe(3);
    expect(metrics.value('hangup_rate_limited_total', { policy: 'anonymous' })).toBe(1);
  });
});

test('hangup_rate_limited_total counts the refusals of each policy', async () => {
  const other = await start({ rateLimits: { calls: 1, cancels: 1, anonymous: 1 } });
  onTestFinished(() => other.stop());
  const refusals = async () => {
    const metrics = await readMetrics(other.url);
    return ['calls', 'cancels', 'anonymous'].map((policy) =>
      metrics.value('hangup_rate_limited_total', { policy }),
    );
  };
  expect(await refusals()).toEqual([0, 0, 0]);
  for (let i = 0; i < 2; i += 1) await other.send('GET', '/api/v1/calls');
  for (let i = 0; i < 3; i += 1) await other.send('DELETE', '/api/v1/calls/none');
  for (let i = 0; i < 4; i += 1) await other.send('GET', '/api/v1/calls', { key: null });
  expect(await refusals()).toEqual([1, 2, 3]);
});

test('a limit of 0 refuses nothing and has no headers', async () => {
  const other = await start({ rateLimits: { calls: 0, cancels: 0, anonymous: 0 } });
  onTestFinished(() => other.stop());
  for (let i = 0; i < 10; i += 1) {
    const answer = await other.send('GET', '/api/v1/calls');
    expect([answer.status, limitOf(answer)]).toEqual([200, NO_LIMIT]);
    const cancel = await other.send('DELETE', '/api/v1/calls/none');
    expect([cancel.status, limitOf(cancel)]).toEqual([404, NO_LIMIT]);
    const refused = await other.send('GET', '/api/v1/calls', { key: null });
    expect([refused.status, limitOf(refused)]).toEqual([401, NO_LIMIT]);
  }
});

test('the complete budget is available again after the window', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const other = await start({ rateLimits: LIMITS }, { inProcess: true });
  onTestFinished(() => other.stop());
  const read = () => other.send('GET', '/api/v1/calls');
  for (let i = 0; i < LIMITS.calls; i += 1) expect((await read()).status).toBe(200);
  vi.setSystemTime(Date.now() + 45_500);
  expect(expectRefused(await read(), TOO_MANY_CALLS)).toBe(15);
  vi.setSystemTime(Date.now() + 14_400);
  expect(expectRefused(await read(), TOO_MANY_CALLS)).toBe(1);
  vi.setSystemTime(Date.now() + 101);
  const answer = await read();
  expect([answer.status, answer.headers.get('ratelimit')]).toEqual([200, '"calls";r=3;t=60']);
});

test('the log line of a refused address contains the address', async () => {
  const headers = newClient();
  for (let i = 0; i < 3; i += 1) await hangup.send('GET', '/api/v1/calls', { key: null, headers });
  const lines = () => hangup.log.filter(({ fields }) => fields.remoteAddress === headers['x-forwarded-for']);
  await expect.poll(() => lines().map(({ fields }) => fields.status)).toEqual([401, 401, 429]);
});
