import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readAnswer } from '../harness/event-stream.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { sendBytes, sendRaw } from '../harness/raw-http.ts';

/* Requirements of HTTP and the contract for every response, including those that Node.js would send. */

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
  await hangup.insertCall({ id: 'call', status: 'active' });
  await hangup.livekit.join('call', 'caller');
});
afterAll(() => hangup.stop());

/** Sends a request without parsing the response, because some bodies are not JSON. */
const headersOf = async (method: string, path: string, key: string | null) => {
  const response = await fetch(hangup.url + path, {
    method,
    ...(key !== null && { headers: { 'x-api-key': key } }),
  });
  await readAnswer(response);
  return response.headers;
};

const GET = [
  '/api/v1/calls',
  '/api/v1/calls?limit=0',
  '/api/v1/calls?page=2',
  '/api/v1/calls/call',
  '/api/v1/calls/none',
  '/api/v1/calls/call/events',
  '/api/v1/api-keys/current',
  '/api/v1/api-keys/current?page=2',
  '/api/v1/events',
  '/api/v1/events?lastEventId=x&page=2',
  '/api/v1/none',
  '/trpc/calls.list?input={}',
  '/trpc/calls.list?input={"limit":0}',
  '/trpc/calls.list,calls.none?batch=1&input={"0":{}}',
  '/trpc/calls.get?input={"callId":"none"}',
  '/trpc/calls.cancel?input={"callId":"none"}',
  '/trpc/apiKeys.current',
  '/trpc/none',
  '/openapi.json',
  '/openapi.json?v=2',
  '/metrics',
  '/metrics?name[]=hangup_calls',
  '/healthz',
  '/readyz',
  '/webhooks/livekit',
];

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
};

/** Returns the values of the headers that every response has. */
const securityHeadersOf = (read: (name: string) => string | null | undefined) =>
  Object.fromEntries(Object.keys(SECURITY_HEADERS).map((name) => [name, read(name)]));

describe('every response has cache-control: no-store and the security headers', () => {
  test.each(GET.flatMap((path) => [['GET', path] as const, ['HEAD', path] as const]))(
    '%s %s',
    async (method, path) => {
      for (const key of [hangup.key, null]) {
        const headers = await headersOf(method, path, key);
        expect(securityHeadersOf((name) => headers.get(name))).toEqual(SECURITY_HEADERS);
      }
    },
  );

  test.each([
    ['POST', '/api/v1/calls', {}],
    ['POST', '/api/v1/calls', '{'],
    ['DELETE', '/api/v1/calls/none', undefined],
    ['PUT', '/api/v1/calls/none', undefined],
    ['POST', '/trpc/calls.create', {}],
    ['POST', '/trpc/calls.create', '{'],
    ['OPTIONS', '/trpc/calls.list', undefined],
    ['POST', '/webhooks/livekit', {}],
  ])('%s %s', async (method, path, body) => {
    for (const key of [hangup.key, null]) {
      const { headers } = await hangup.send(method, path, { key, body });
      expect(securityHeadersOf((name) => headers.get(name))).toEqual(SECURITY_HEADERS);
    }
  });

  test('in the stream of a tRPC batch', async () => {
    const response = await fetch(`${hangup.url}/trpc/calls.list?batch=1&input={"0":{"limit":1}}`, {
      headers: { 'x-api-key': hangup.key, 'trpc-accept': 'application/jsonl' },
    });
    expect(securityHeadersOf((name) => response.headers.get(name))).toEqual(SECURITY_HEADERS);
    expect(response.headers.get('transfer-encoding')).toBe('chunked');
    expect(await response.text()).toContain('"pagination":{"total":');
  });
});

describe('www-authenticate: Bearer', () => {
  test.each([
    ['GET', '/api/v1/calls'],
    ['HEAD', '/api/v1/calls'],
    ['DELETE', '/api/v1/calls/call'],
    ['POST', '/api/v1/calls'],
    ['GET', '/api/v1/events'],
    ['GET', '/trpc/calls.list'],
    ['GET', '/trpc/calls.list,calls.get?batch=1'],
    ['POST', '/trpc/calls.cancel'],
    ['POST', '/webhooks/livekit'],
  ])('%s %s', async (method, path) => {
    const body = method === 'POST' ? { body: {} } : {};
    const answer = await hangup.send(method, path, { key: null, ...body });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  test('is absent from every other response', async () => {
    for (const path of GET) {
      expect((await headersOf('GET', path, hangup.key)).get('www-authenticate')).toBeNull();
    }
  });
});

describe('HEAD returns the headers of GET without a body', () => {
  const compared = (headers: Headers) =>
    ['content-type', 'content-length', 'allow', 'vary', 'www-authenticate', 'cache-control'].map((name) => [
      name,
      headers.get(name),
    ]);

  // Metrics change between two requests.
  test.each(GET.filter((path) => path !== '/metrics'))('at %s', async (path) => {
    for (const key of [hangup.key, null]) {
      const [get, head] = [await hangup.send('GET', path, { key }), await hangup.send('HEAD', path, { key })];
      expect(head).toMatchObject({ status: get.status, body: '' });
      expect(compared(head.headers)).toEqual(compared(get.headers));
    }
  });

  test('at /metrics', async () => {
    expect(await hangup.send('HEAD', '/metrics')).toMatchObject({ status: 200, body: '' });
  });
});

describe('/trpc returns 405 with the allowed methods', () => {
  test.each([
    ['OPTIONS', 'calls.list', 'GET, HEAD'],
    ['OPTIONS', 'calls.cancel', 'POST'],
    ['PUT', 'calls.cancel', 'POST'],
    ['DELETE', 'calls.cancel', 'POST'],
    ['GET', 'calls.cancel', 'POST'],
    ['HEAD', 'calls.cancel', 'POST'],
    ['POST', 'calls.list', 'GET, HEAD'],
    ['POST', 'events.stream', 'GET, HEAD'],
    ['OPTIONS', 'events.stream', 'GET, HEAD'],
  ])('to %s /trpc/%s', async (method, procedure, allow) => {
    const answer = await hangup.send(method, `/trpc/${procedure}`, { key: null });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe(allow);
    if (method !== 'HEAD') {
      expect(answer.body).toMatchObject({
        error: { message: 'Method not allowed', data: { httpStatus: 405 } },
      });
    }
  });
});

describe('a request that Node.js would refuse without hangup gets the JSON error', () => {
  const auth = () => `x-api-key: ${hangup.key}\r\nconnection: close\r\n`;

  test.each<[string, string, number, string]>([
    [
      'no Host header',
      'GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n',
      400,
      'Bad request: expected one Host header',
    ],
    [
      'two Host headers',
      'GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n',
      400,
      'Bad request: expected one Host header',
    ],
    [
      'no Host header under /trpc',
      'GET /trpc/calls.list HTTP/1.1\r\n\r\n',
      400,
      'Bad request: expected one Host header',
    ],
    [
      'an unknown Expect',
      'GET /healthz HTTP/1.1\r\nhost: x\r\nexpect: 200-ok\r\n\r\n',
      417,
      'Expectation failed: expected 100-continue',
    ],
    [
      'an unknown Expect with a body',
      'POST /api/v1/calls HTTP/1.1\r\nhost: x\r\nexpect: a, b\r\ncontent-length: 2\r\n\r\n{}',
      417,
      'Expectation failed: expected 100-continue',
    ],
    [
      'CONNECT',
      'CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n',
      405,
      'Method not allowed',
    ],
    [
      'TRACE',
      'TRACE /api/v1/calls HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
      405,
      'Method not allowed',
    ],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 404, 'Not found'],
    ['an unknown method', 'FOO / HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'Bad request'],
    ['a target with a space', 'GET /a b HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'Bad request'],
    ['HTTP/2 without TLS', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'Bad request'],
    ['HTTP/0.9', 'GET /\r\n\r\n', 404, 'Not found'],
    [
      'two Content-Length headers',
      'POST /api/v1/calls HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}',
      400,
      'Bad request',
    ],
    [
      'Content-Length and chunked encoding',
      'POST /api/v1/calls HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'Bad request',
    ],
    [
      'a large header',
      `GET / HTTP/1.1\r\nhost: x\r\ncookie: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'Request header',
    ],
    ['a long target', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431, 'Request header fields'],
  ])('for %s', async (_, text, code, message) => {
    const answer = await sendRaw(hangup.url, text);
    expect(answer).toMatchObject({
      status: code,
      body: { error: { message: expect.stringContaining(message), code } },
    });
    expect(answer.header('content-type')).toBe('application/json');
    expect(securityHeadersOf(answer.header)).toEqual(SECURITY_HEADERS);
    expect(answer.header('connection')).toBe('close');
  });

  test('with the allowed methods for CONNECT', async () => {
    const answer = await sendRaw(hangup.url, 'CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n');
    expect(answer.header('allow')).toBe('GET, HEAD, POST, DELETE');
  });

  test('but not for HTTP/1.0 without Host', async () => {
    const answer = await sendRaw(hangup.url, `GET /api/v1/calls/call HTTP/1.0\r\n${auth()}\r\n`);
    expect(answer).toMatchObject({ status: 200, body: { data: { id: 'call' } } });
    const overTrpc = await sendRaw(hangup.url, `GET /trpc/calls.list HTTP/1.0\r\n${auth()}\r\n`);
    expect(overTrpc.status).toBe(400);
  });

  test("but not for an unknown Upgrade such as Java's h2c, which is ignored", async () => {
    const answer = await sendRaw(
      hangup.url,
      `GET /api/v1/calls/call HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\n${auth().replace('close', 'close, Upgrade, HTTP2-Settings')}\r\n`,
    );
    expect(answer).toMatchObject({ status: 200, body: { data: { id: 'call' } } });
  });

  test('and the server keeps running when a client disconnects after CONNECT', async () => {
    const { hostname, port } = new URL(hangup.url);
    const socket = connect(Number(port), hostname);
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write('CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n');
    socket.resetAndDestroy();
    expect(await hangup.send('GET', '/healthz')).toMatchObject({ status: 200 });
  });
});

describe('an idle connection stays open', () => {
  const keepAlive = async (url: string) => (await fetch(`${url}/healthz`)).headers.get('keep-alive');

  test('for 75 s by default', async () => {
    expect(await keepAlive(hangup.url)).toBe('timeout=75');
  });

  test('for KEEP_ALIVE_TIMEOUT_MS', async () => {
    const other = await startHangup({ settings: { keepAliveTimeoutMs: 600_000 } });
    onTestFinished(() => other.stop());
    expect(await keepAlive(other.url)).toBe('timeout=600');
  });

  test('before the first byte of a request, without the deadline for headers', async () => {
    const { hostname, port } = new URL(hangup.url);
    const request = `GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n`;
    const slow = sendBytes(hangup.url, 'GET /healthz HTTP/1.1\r\nhost: x\r\n');
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    const answered = () =>
      new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
    const first = answered();
    socket.write(request);
    expect(await first).toMatch(/^HTTP\/1\.1 200 /);
    // The deadline, counted from the start of the idle connection, has passed.
    expect(await slow).toMatch(
      /^HTTP\/1\.1 408 .*\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n.*"code":408/s,
    );
    const second = answered();
    socket.write(request);
    expect(await second).toMatch(/^HTTP\/1\.1 200 /);
  });
});

test('a connection that never sends a byte is closed without a response', async () => {
  const { hostname, port } = new URL(hangup.url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  const received: string[] = [];
  socket.on('data', (data) => received.push(String(data)));
  await new Promise((resolve) => socket.once('close', resolve));
  expect(received).toEqual([]);
});

describe('an unused query', () => {
  test.each(['/healthz?_=1', '/readyz?x', '/healthz?%ff'])(
    'is ignored at %s, so that probes succeed',
    async (path) => {
      expect(await hangup.send('GET', path, { key: null })).toMatchObject({ status: 200 });
    },
  );

  test.each([
    ['/openapi.json?v=2', 'v'],
    ['/metrics?name[]=hangup_calls', 'name[]'],
  ])('is refused with 400 and its name at %s', async (path, name) => {
    expect(await hangup.send('GET', path, { key: null })).toMatchObject({
      status: 400,
      body: { error: { message: `Unrecognized key: "${name}"`, code: 400 } },
    });
  });

  test('GET with a body returns 400', async () => {
    for (const target of [
      '/api/v1/calls',
      '/api/v1/calls/call',
      '/trpc/calls.list',
      '/openapi.json',
      '/metrics',
    ]) {
      const answer = await sendRaw(
        hangup.url,
        `GET ${target} HTTP/1.1\r\nhost: x\r\nx-api-key: ${hangup.key}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 25\r\n\r\n{"status":["completed"]}\n`,
      );
      expect(answer.status).toBe(400);
      expect(JSON.stringify(answer.body)).toContain('Request body: not expected with this method');
    }
  });
});
