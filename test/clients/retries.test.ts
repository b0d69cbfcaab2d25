import { expect, onTestFinished, test, vi } from 'vitest';
import {
  createHangup,
  HangupError,
  type HangupOptions,
  type Retry,
} from '../../clients/typescript/src/index.ts';
import {
  disconnect,
  disconnectInBody,
  empty,
  type Fault,
  type FaultServer,
  hang,
  hangAfterHead,
  html,
  json,
  startFaultServer,
} from '../harness/fault-server.ts';

const CALL = json(200, { data: { id: 'x', status: 'active' } });
const error = (status: number, message: string, headers?: Record<string, string>) =>
  json(status, { error: { message, code: status } }, headers);

/** Returns a client that repeats at once. */
function connect({ url }: FaultServer, options: Partial<HangupOptions> = {}) {
  return createHangup({ url, apiKey: 'key', retryDelayMs: () => 0, ...options });
}

/** Returns the error of a request. */
async function errorOf(request: Promise<unknown>): Promise<HangupError> {
  const thrown: unknown = await request.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof HangupError)) throw new Error(`expected a HangupError, received ${thrown}`);
  return thrown;
}

/** Enough for a response on a busy machine. Other cases keep the default. */
const SHORT = { attemptTimeoutMs: 3_000 };

const TRANSIENT: readonly (readonly [string, Fault, typeof SHORT?])[] = [
  ['a 502 with HTML', html(502)],
  ['an empty 504', empty(504)],
  ['a 503 of hangup', error(503, 'Service unavailable')],
  ['a 500 of hangup, which changed nothing', error(500, 'Internal server error')],
  ['a 500 of a proxy', html(500)],
  ["a 521, Cloudflare's status for a server that is down", html(521)],
  ['a 429', error(429, 'Too many requests')],
  ['a 429 of a proxy', html(429)],
  ['a 408', error(408, 'Request timeout')],
  ['a 408 of a proxy', html(408)],
  ['a connection that closes without a response', disconnect],
  ['a connection that closes in the middle of the body', disconnectInBody],
  ['a response without a body in time', hangAfterHead, SHORT],
  ['no response in time', hang, SHORT],
];

test.for(TRANSIENT)('a read is repeated after %s', async ([, fault, options]) => {
  const server = await startFaultServer(fault, CALL);
  const hangup = connect(server, options);
  expect(await hangup.calls.get('x')).toEqual({ id: 'x', status: 'active' });
  expect(server.requests).toHaveLength(2);
});

test.for(TRANSIENT)(
  'a change is repeated with the same Idempotency-Key after %s',
  async ([, fault, options]) => {
    const server = await startFaultServer(fault, fault, CALL);
    const hangup = connect(server, options);
    await hangup.calls.create({ id: 'x' });
    await hangup.calls.cancel('x', { reason: 'caller request' });
    const [first, second, third, cancel] = server.requests;
    const keyOf = (request: typeof first) => request?.headers['idempotency-key'];
    expect(keyOf(first)).toMatch(/^"[0-9a-f-]{36}"$/);
    expect([keyOf(second), keyOf(third)]).toEqual([keyOf(first), keyOf(first)]);
    expect([second?.body, third?.body]).toEqual([first?.body, first?.body]);
    expect(keyOf(cancel)).not.toBe(keyOf(first));
  },
);

test('a refusal of hangup is final', async () => {
  for (const status of [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 431]) {
    const server = await startFaultServer(error(status, 'No', { 'x-request-id': 'r1' }));
    const thrown = await errorOf(connect(server).calls.cancel('x'));
    expect(thrown).toMatchObject({ status, message: 'No', requestId: 'r1', isRetryable: false });
    expect(server.requests).toHaveLength(1);
  }
});

test('each status has a code', async () => {
  const codes: [number, string][] = [
    [400, 'bad_request'],
    [401, 'unauthorized'],
    [403, 'forbidden'],
    [404, 'not_found'],
    [408, 'timeout'],
    [409, 'conflict'],
    [412, 'precondition_failed'],
    [413, 'payload_too_large'],
    [415, 'refused'],
    [422, 'idempotency_key_reused'],
    [429, 'rate_limited'],
    [500, 'server_error'],
    [502, 'unavailable'],
    [503, 'unavailable'],
    [521, 'unavailable'],
  ];
  for (const [status, code] of codes) {
    const server = await startFaultServer(error(status, 'No'));
    expect(await errorOf(connect(server).calls.get('x', { maxAttempts: 1 }))).toMatchObject({ status, code });
  }
});

test('a proxy without hangup gives an error that names the proxy', async () => {
  const cases: [Fault, object, RegExp][] = [
    [
      html(502),
      { status: 502, code: 'unavailable' },
      /^The proxy at http:\S+ has no response from hangup \(HTTP 502\)/,
    ],
    [
      html(200),
      { status: 200, code: 'unexpected_response' },
      /a response that is not from hangup \(HTTP 200\)/,
    ],
    [
      html(403),
      { status: 403, code: 'unexpected_response' },
      /a response that is not from hangup \(HTTP 403\)/,
    ],
    [empty(200), { status: 200, code: 'unexpected_response' }, /an empty response \(HTTP 200\)/],
    [json(200, null), { status: 200, code: 'unexpected_response' }, /not from hangup/],
    [json(400, { error: 'x' }), { status: 400, code: 'unexpected_response' }, /not from hangup/],
    [json(500, { error: 'x' }), { status: 500, code: 'unavailable' }, /no response from hangup \(HTTP 500\)/],
    [html(530), { status: 530, code: 'unavailable' }, /no response from hangup \(HTTP 530\)/],
    [
      empty(307, { location: 'http://127.0.0.1:1/' }),
      { status: 307, code: 'unexpected_response' },
      /redirects to http:/,
    ],
    [disconnect, { status: null, code: 'network_error' }, /^No response from http:/],
    [hang, { status: null, code: 'timeout' }, /^No complete response from http:\S+ within 300 ms/],
  ];
  for (const [fault, details, message] of cases) {
    const server = await startFaultServer(fault);
    const options = { maxAttempts: 1, idempotencyKey: 'k', ...(fault === hang && { attemptTimeoutMs: 300 }) };
    const thrown = await errorOf(connect(server).calls.create({}, options));
    expect(thrown).toMatchObject({ ...details, name: 'HangupError', idempotencyKey: 'k', requestId: null });
    expect(thrown.message).toMatch(message);
    expect(server.requests).toHaveLength(1);
  }
});

test('a closed port gives a network error', async () => {
  const thrown = await errorOf(
    createHangup({ url: 'http://127.0.0.1:9', apiKey: 'key', maxAttempts: 1 }).calls.get('x'),
  );
  expect(thrown).toMatchObject({ status: null, code: 'network_error', isRetryable: true });
});

test('an error has no part of the API key', async () => {
  const server = await startFaultServer(html(502));
  const thrown = await errorOf(connect(server, { apiKey: 'secret-key', maxAttempts: 1 }).calls.get('x'));
  expect(JSON.stringify({ ...thrown, message: thrown.message, stack: thrown.stack })).not.toContain('secret');
});

test('a request ends after maxAttempts with the last error', async () => {
  const server = await startFaultServer(disconnect, html(502), error(503, 'Service unavailable'));
  const retries: Retry[] = [];
  const hangup = connect(server, { maxAttempts: 3, onRetry: (retry) => retries.push(retry) });
  expect(await errorOf(hangup.calls.get('x'))).toMatchObject({ status: 503, message: 'Service unavailable' });
  expect(server.requests).toHaveLength(3);
  expect(retries.map(({ attempt, error: { code } }) => [attempt, code])).toEqual([
    [1, 'network_error'],
    [2, 'unavailable'],
  ]);
});

test('a Retry-After that is longer than the timeout ends the request at once', async () => {
  const server = await startFaultServer(error(429, 'Too many requests', { 'retry-after': '3600' }));
  expect(await errorOf(connect(server).calls.get('x'))).toMatchObject({
    code: 'rate_limited',
    retryAfter: 3600,
  });
  expect(server.requests).toHaveLength(1);
});

test('Retry-After makes the delay longer, never shorter', async () => {
  const delays: number[] = [];
  const onRetry = ({ delayMs }: Retry) => delays.push(delayMs);
  const limited = await startFaultServer(error(429, 'No', { 'retry-after': '1' }), CALL);
  await connect(limited, { onRetry }).calls.get('x');
  const busy = await startFaultServer(error(503, 'No', { 'retry-after': '0' }), CALL);
  await connect(busy, { onRetry, retryDelayMs: () => 7 }).calls.get('x');
  expect(delays).toEqual([1_000, 7]);
});

test('a Retry-After with a date counts from the clock of the server', async () => {
  const headers = { 'retry-after': 'Mon, 23 Nov 2026 08:00:50 GMT', date: 'Mon, 23 Nov 2026 08:00:00 GMT' };
  const server = await startFaultServer(error(503, 'No', headers));
  expect(await errorOf(connect(server, { maxAttempts: 1 }).calls.get('x'))).toMatchObject({ retryAfter: 50 });
});

test('the key and the headers of a gateway reach the server, below the path of the URL', async () => {
  const server = await startFaultServer(CALL);
  const url = `${server.url}/voice/`;
  const hangup = createHangup({ url, apiKey: 'key', headers: { authorization: 'Bearer gateway' } });
  await hangup.calls.get('a b/ü');
  await hangup.calls.list({ status: ['active', 'ringing'], agentId: undefined, limit: 5 });
  await hangup.calls.cancel('x', { reason: 'a+b & c' }, { idempotencyKey: 'my "key" \\' });
  expect(server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
    'GET /voice/api/v1/calls/a%20b%2F%C3%BC',
    'GET /voice/api/v1/calls?status=active&status=ringing&limit=5',
    'DELETE /voice/api/v1/calls/x?reason=a%2Bb+%26+c',
  ]);
  expect(server.requests[0]?.headers).toMatchObject({ 'x-api-key': 'key', authorization: 'Bearer gateway' });
  expect(server.requests[2]?.headers['idempotency-key']).toBe(String.raw`"my \"key\" \\"`);
});

test('a header of a gateway never changes a header of the client, whatever its case is', async () => {
  const server = await startFaultServer(CALL);
  const headers = { 'Content-Type': 'text/plain', 'X-Api-Key': 'other', 'IDEMPOTENCY-KEY': 'other' };
  await connect(server, { headers }).calls.create({ id: 'x' }, { idempotencyKey: 'k' });
  expect(server.requests[0]?.headers).toMatchObject({
    'content-type': 'application/json',
    'x-api-key': 'key',
    'idempotency-key': '"k"',
  });
});

test('listAll reads the largest pages, by their cursors', async () => {
  const page = (nextCursor: string | null) => json(200, { data: { calls: [], pagination: { nextCursor } } });
  const server = await startFaultServer(page('next'), page(null));
  expect(await connect(server).calls.listAll({ agentId: 'a' }).next()).toEqual({ done: true });
  expect(server.requests.map(({ url }) => url)).toEqual([
    '/api/v1/calls?limit=100&agentId=a',
    '/api/v1/calls?limit=100&agentId=a&cursor=next',
  ]);
});

test('in a browser, a network error names CORS_ORIGINS', async () => {
  const send = () => Promise.reject(new TypeError('Failed to fetch'));
  const hangup = createHangup({ url: 'http://hangup', apiKey: 'key', fetch: send, maxAttempts: 1 });
  const message = 'No response from http://hangup: Failed to fetch.';
  expect((await errorOf(hangup.calls.get('x'))).message).toBe(message);
  vi.stubGlobal('document', {});
  vi.stubGlobal('location', { origin: 'https://app.example.com' });
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
  expect((await errorOf(hangup.calls.get('x'))).message).toBe(
    `${message} If the address is correct, CORS_ORIGINS of hangup must contain https://app.example.com.`,
  );
});

test('wrong arguments get a TypeError, and send nothing', async () => {
  const server = await startFaultServer(CALL);
  const { calls, cancellations } = connect(server);
  for (const id of ['', '.', '..']) {
    await expect(calls.cancel(id)).rejects.toThrow(TypeError);
    await expect(calls.events(id)).rejects.toThrow('id: expected the id of a call');
    await expect(cancellations.liftHold(id)).rejects.toThrow(TypeError);
  }
  await expect(calls.create({ metadata: { big: 1n } })).rejects.toThrow(TypeError);
  for (const number of [Number.NaN, Number.POSITIVE_INFINITY]) {
    await expect(calls.create({ metadata: { list: [{ number }] } })).rejects.toThrow(
      new TypeError(`number: expected a finite number, received ${number}`),
    );
  }
  const half = 'a\ud800';
  const problem = (name: string) => new TypeError(`${name}: contains half of a surrogate pair`);
  await expect(calls.create({ metadata: { note: half } })).rejects.toThrow(problem('note'));
  await expect(calls.create({ metadata: { [half]: 1 } })).rejects.toThrow(problem('a name'));
  await expect(calls.cancel('x', { reason: half })).rejects.toThrow(problem('reason'));
  await expect(calls.cancel(half)).rejects.toThrow(problem('id'));
  // Callers without types.
  const withNull = JSON.parse('{"agentId":null}');
  await expect(calls.list(withNull)).rejects.toThrow(
    new TypeError('agentId: expected text or a number, received null'),
  );
  await expect(calls.create({}, { idempotencyKey: 'schlüssel\n' })).rejects.toThrow(TypeError);
  expect(() => createHangup({ url: 'hangup.example.com', apiKey: 'key' })).toThrow(TypeError);
  expect(() => createHangup({ url: 'ftp://hangup.example.com', apiKey: 'key' })).toThrow('expected http:');
  for (const path of ['/api/v1', '/voice/api/v1/', '/trpc', '/openapi.json', '/docs/']) {
    const wrong = path.replace('/voice', '').replace(/\/$/, '');
    expect(() => createHangup({ url: `${server.url}${path}`, apiKey: 'key' })).toThrow(`without ${wrong}`);
  }
  for (const apiKey of ['', ' ', 'two\nkeys', 'clé']) {
    expect(() => createHangup({ url: server.url, apiKey }), apiKey).toThrow(/^apiKey: expected an API key;/);
  }
  expect(server.requests).toEqual([]);
  await calls.list({ phoneNumber: '+1 😀' });
  expect(server.requests.map(({ url }) => url)).toEqual(['/api/v1/calls?phoneNumber=%2B1+%F0%9F%98%80']);
});
