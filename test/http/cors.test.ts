import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { sendBytes } from '../harness/raw-http.ts';

const APP = 'https://app.example.com';
const CONSOLE = 'http://localhost:3000';
const OTHER = 'https://evil.example.com';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup({ settings: { corsOrigins: [APP, CONSOLE] } });
  await hangup.insertCall({ id: 'call', status: 'active' });
});
afterAll(() => hangup.stop());

const EXPOSED =
  'x-request-id, retry-after, ratelimit, ratelimit-policy, idempotent-replayed, location, last-event-id, date';

/** Returns the CORS headers of a response. */
const corsOf = (headers: Headers) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));

const variesByOrigin = (headers: Headers) =>
  (headers.get('vary') ?? '').split(', ').some((name) => name === 'origin');

function preflight(url: string, path: string, origin: string, method = 'GET'): Promise<Response> {
  return fetch(url + path, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'content-type,x-api-key',
    },
  });
}

const PATHS = [
  '/api/v1/calls',
  '/api/v1/none',
  '/api/v1/events',
  '/trpc/calls.list',
  '/trpc/none',
  '/openapi.json',
];

describe('a preflight of a listed origin gets 204 without an API key', () => {
  test.each(PATHS.flatMap((path) => ['GET', 'POST', 'DELETE'].map((method) => [method, path])))(
    'for %s %s',
    async (method, path) => {
      const response = await preflight(hangup.url, path, CONSOLE, method);
      expect(response.status).toBe(204);
      expect(await response.text()).toBe('');
      expect(corsOf(response.headers)).toEqual({
        'access-control-allow-origin': CONSOLE,
        'access-control-allow-methods': 'GET, HEAD, POST, DELETE',
        'access-control-allow-headers':
          'authorization, content-type, idempotency-key, last-event-id, trpc-accept, x-api-key',
        'access-control-max-age': '7200',
        'access-control-expose-headers': EXPOSED,
      });
      expect(variesByOrigin(response.headers)).toBe(true);
      expect(response.headers.get('x-request-id')).toMatch(/^req_/);
      expect(response.headers.get('content-length')).toBeNull();
    },
  );

  test('and the connection stays open for the next request', async () => {
    const answers = await sendBytes(
      hangup.url,
      `OPTIONS /api/v1/calls HTTP/1.1\r\nhost: x\r\norigin: ${APP}\r\naccess-control-request-method: GET\r\n\r\nGET /api/v1/none HTTP/1.1\r\nhost: x\r\norigin: ${APP}\r\nconnection: close\r\n\r\n`,
    );
    expect(answers).toMatch(/^HTTP\/1\.1 204 .*\r\n\r\nHTTP\/1\.1 404 /s);
  });
});

describe('OPTIONS gets 405', () => {
  test.each([
    ['without an origin', { 'access-control-request-method': 'GET' }],
    ['without access-control-request-method', { origin: APP }],
    ['with an origin that is not listed', { origin: OTHER, 'access-control-request-method': 'GET' }],
  ])('%s', async (_, headers) => {
    for (const path of ['/api/v1/calls', '/trpc/calls.list', '/openapi.json']) {
      const answer = await hangup.send('OPTIONS', path, { key: null, headers });
      expect(answer.status).toBe(405);
      expect(answer.headers.get('allow')).toContain('GET');
      expect(answer.headers.get('access-control-allow-methods')).toBeNull();
    }
  });
});

describe('a page of a listed origin can read', () => {
  test.each([
    ['GET', '/api/v1/calls', undefined, 200],
    ['HEAD', '/api/v1/calls', undefined, 200],
    ['GET', '/api/v1/calls?limit=0', undefined, 400],
    ['GET', '/api/v1/calls/none', undefined, 404],
    ['GET', '/api/v1/none', undefined, 404],
    ['PUT', '/api/v1/calls', undefined, 405],
    ['POST', '/api/v1/calls', '{', 400],
    ['POST', '/api/v1/calls', {}, 201],
    ['GET', '/trpc/calls.list?input={}', undefined, 200],
    ['GET', '/trpc/calls.list,calls.none?batch=1&input={"0":{}}', undefined, 207],
    ['GET', '/trpc/none', undefined, 404],
    ['POST', '/trpc/calls.create', {}, 200],
    ['GET', '/openapi.json', undefined, 200],
  ])('the response to %s %s %j', async (method, path, body, status) => {
    const answer = await hangup.send(method, path, { body, headers: { origin: APP } });
    expect(answer.status).toBe(status);
    expect(corsOf(answer.headers)).toEqual({
      'access-control-allow-origin': APP,
      'access-control-expose-headers': EXPOSED,
    });
    expect(variesByOrigin(answer.headers)).toBe(true);
  });

  test('a 401', async () => {
    const answer = await hangup.send('GET', '/api/v1/calls', { key: null, headers: { origin: APP } });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('access-control-allow-origin')).toBe(APP);
  });

  test('the stream of a tRPC batch, whose format also varies', async () => {
    const response = await fetch(`${hangup.url}/trpc/calls.list?batch=1&input={"0":{}}`, {
      headers: { 'x-api-key': hangup.key, 'trpc-accept': 'application/jsonl', origin: APP },
    });
    await response.text();
    expect(response.headers.get('access-control-allow-origin')).toBe(APP);
    expect(response.headers.get('vary')?.split(', ')).toEqual(
      expect.arrayContaining(['origin', 'trpc-accept']),
    );
  });

  test('an event stream', async () => {
    const { url, key } = hangup;
    const controller = new AbortController();
    for (const path of ['/api/v1/events', '/trpc/events.stream?input={}']) {
      const response = await fetch(url + path, {
        headers: { 'x-api-key': key, origin: APP },
        signal: controller.signal,
      });
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toContain('text/event-stream');
      expect(response.headers.get('access-control-allow-origin')).toBe(APP);
      expect(variesByOrigin(response.headers)).toBe(true);
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    }
    controller.abort();
  });

  test('a replay and its header', async () => {
    const headers = { origin: APP, 'idempotency-key': 'registration' };
    await hangup.send('POST', '/api/v1/calls', { body: {}, headers });
    const answer = await hangup.send('POST', '/api/v1/calls', { body: {}, headers });
    expect(answer.headers.get('idempotent-replayed')).toBe('true');
    expect(answer.headers.get('access-control-allow-origin')).toBe(APP);
    expect(answer.headers.get('vary')).toBe('origin');
  });
});

describe('no CORS headers', () => {
  test.each([
    ['an origin that is not listed', OTHER],
    ['a subdomain', 'https://x.app.example.com'],
    ['a longer name', 'https://app.example.com.evil.example'],
    ['another scheme', 'http://app.example.com'],
    ['another port', 'http://localhost:3001'],
    ['null, the origin of a sandboxed page', 'null'],
    ['two origins', `${APP}, ${CONSOLE}`],
  ])('for %s', async (_, origin) => {
    for (const path of PATHS) {
      const answer = await hangup.send('GET', path, { headers: { origin } });
      expect(corsOf(answer.headers)).toEqual({});
      expect(variesByOrigin(answer.headers)).toBe(true);
      const refused = await preflight(hangup.url, path, origin);
      await refused.text();
      expect(refused.status).toBeGreaterThanOrEqual(404);
      expect(corsOf(refused.headers)).toEqual({});
    }
  });

  test.each(['/webhooks/livekit', '/metrics', '/healthz', '/readyz', '/none'])(
    'at %s, also for a listed origin',
    async (path) => {
      const response = await fetch(hangup.url + path, { headers: { origin: APP } });
      await response.text();
      expect(corsOf(response.headers)).toEqual({});
      expect(response.headers.get('vary')).toBeNull();
      const refused = await preflight(hangup.url, path, APP);
      await refused.text();
      expect([404, 405]).toContain(refused.status);
      expect(corsOf(refused.headers)).toEqual({});
    },
  );

  test('without CORS_ORIGINS, and then no response varies by origin', async () => {
    const other = await startHangup();
    onTestFinished(() => other.stop());
    for (const path of PATHS) {
      const answer = await other.send('GET', path, { headers: { origin: APP } });
      expect(corsOf(answer.headers)).toEqual({});
      expect(variesByOrigin(answer.headers)).toBe(false);
      const refused = await preflight(other.url, path, APP);
      await refused.text();
      expect(refused.status).not.toBe(204);
      expect(corsOf(refused.headers)).toEqual({});
    }
  });
});

test('CORS_ORIGINS=* allows every origin without credentials', async () => {
  const other = await startHangup({ settings: { corsOrigins: ['*'] } });
  onTestFinished(() => other.stop());
  for (const origin of [OTHER, 'null']) {
    const answer = await other.send('GET', '/api/v1/calls', { headers: { origin } });
    expect(answer.status).toBe(200);
    expect(corsOf(answer.headers)).toEqual({
      'access-control-allow-origin': '*',
      'access-control-expose-headers': EXPOSED,
    });
    expect(variesByOrigin(answer.headers)).toBe(false);
    const allowed = await preflight(other.url, '/api/v1/calls/x', origin, 'DELETE');
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get('access-control-allow-credentials')).toBeNull();
    expect(allowed.headers.get('access-control-allow-origin')).toBe('*');
  }
});
