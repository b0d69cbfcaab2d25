import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink } from '@trpc/client';
import { EventSource } from 'eventsource';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { AppRouter } from '../../src/api/router.ts';
import { formatKey, SCOPES } from '../../src/domain/api-key.ts';
import { CONSOLE, cookieOf, postSession, signIn } from '../harness/console.ts';
import { type Hangup, startHangup, timersForCounts } from '../harness/hangup.ts';
import { manualClock } from '../harness/manual-clock.ts';
import { manualTimers } from '../harness/manual-timers.ts';
import { sendRaw } from '../harness/raw-http.ts';
import { WAIT } from '../harness/time.ts';

const HOUR_MS = 3_600_000;
/** Has the form of a key, and no organization. */
const WRONG_KEY = formatKey('0'.repeat(43));
const UNAUTHORIZED = { error: { message: 'Unauthorized', code: 401 } };

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup({ settings: { trustedProxies: ['127.0.0.1', '::1'] } });
  await hangup.insertCall({ id: 'call', status: 'active' });
});
afterAll(() => hangup.stop());

const CURRENT = '/console/trpc/apiKeys.current';

/** Returns the status of a query over tRPC with this cookie, without an API key in a header. */
const statusWith = async (cookie: string, on: Pick<Hangup, 'send'> = hangup) =>
  (await on.send('GET', CURRENT, { key: null, headers: { cookie } })).status;

describe('POST /console/session', () => {
  test('refuses a query', async () => {
    const body = { apiKey: hangup.key };
    const headers = { 'x-hangup-console': '1' };
    const answer = await hangup.send('POST', '/console/session?next=calls', { key: null, body, headers });
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 400 } } });
    expect(answer.headers.get('set-cookie')).toBeNull();
  });

  test('exchanges a key for a cookie, and returns the properties of the key', async () => {
    const { status, headers, body } = await postSession(hangup, hangup.key);
    expect(status).toBe(200);
    expect(body).toEqual((await hangup.send('GET', '/api/v1/api-keys/current')).body);
    const cookie = cookieOf(headers);
    expect(cookie?.pair).toMatch(/^hangup_session=key_[0-9a-f]{32}\.\d+\.[A-Za-z0-9_-]{43}$/);
    const { 'Max-Age': maxAge, ...attributes } = cookie?.attributes ?? {};
    expect(attributes).toEqual({ Path: '/console', HttpOnly: '', SameSite: 'Strict' });
    expect(Number(maxAge)).toBeGreaterThan(43_190);
    expect(Number(maxAge)).toBeLessThanOrEqual(43_200);
    expect(headers.getSetCookie().join()).not.toContain(hangup.key);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(await statusWith(cookie?.pair ?? '')).toBe(200);
  });

  test.each([
    ['a request without a proxy', {}, false],
    ['http at a trusted proxy', { 'x-forwarded-proto': 'http' }, false],
    ['https at a trusted proxy', { 'x-forwarded-proto': 'https' }, true],
    ['https at the first of two proxies', { 'x-forwarded-proto': 'HTTPS, http' }, true],
  ])('sets the attribute Secure by the scheme of %s', async (_, headers, isSecure) => {
    const { headers: answered } = await postSession(hangup, hangup.key, headers);
    expect('Secure' in (cookieOf(answered)?.attributes ?? {})).toBe(isSecure);
  });

  test('sets the attribute Secure for a page on https, also without trusted proxies', async () => {
    const other = await startHangup();
    onTestFinished(() => other.stop());
    const forwarded = await postSession(other, other.key, { 'x-forwarded-proto': 'https' });
    expect(cookieOf(forwarded.headers)?.attributes).not.toHaveProperty('Secure');
    const origin = other.url.replace('http:', 'https:');
    expect(cookieOf((await postSession(other, other.key, { origin })).headers)?.attributes).toHaveProperty(
      'Secure',
    );
  });

  test('returns 401 without a cookie for a key that is unknown, revoked or expired', async () => {
    const revoked = await hangup.createKey('acme');
    await hangup.store.revokeApiKey({ id: await keyIdOf(revoked), now: 1 });
    for (const key of [WRONG_KEY, 'x', '', revoked, await hangup.createKey('acme', SCOPES, 1)]) {
      const { status, headers, body } = await postSession(hangup, key);
      expect([status, body, headers.getSetCookie()]).toEqual([401, UNAUTHORIZED, []]);
    }
  });

  test.each([
    [400, '{', {}],
    [400, [], {}],
    [400, {}, {}],
    [400, { apiKey: 1 }, {}],
    [400, { apiKey: WRONG_KEY, organization: 'acme' }, {}],
    [413, { apiKey: 'x'.repeat(5_000) }, {}],
    [415, { apiKey: WRONG_KEY }, { 'content-type': 'text/plain' }],
  ])('returns %i for the body %j', async (status, body, headers) => {
    const answer = await hangup.send('POST', '/console/session', {
      key: null,
      body,
      headers: { ...CONSOLE, ...headers },
    });
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([status, []]);
  });

  test('reads the key from the body only', async () => {
    const { key } = hangup;
    const headers = { ...CONSOLE, 'x-api-key': key, cookie: await signIn(hangup) };
    const { status } = await hangup.send('POST', '/console/session', { key: null, body: {}, headers });
    expect(status).toBe(400);
  });

  test('counts failures by address, and never refuses a valid key', async () => {
    const limited = await startHangup({
      settings: { rateLimits: { calls: 0, cancels: 0, anonymous: 2 }, trustedProxies: ['127.0.0.1'] },
      timers: timersForCounts(),
    });
    onTestFinished(() => limited.stop());
    const mallory = { 'x-forwarded-for': '203.0.113.1' };
    const statuses = [];
    for (const key of [WRONG_KEY, 1, WRONG_KEY, limited.key])
      statuses.push((await postSession(limited, key, mallory)).status);
    expect(statuses).toEqual([401, 400, 429, 200]);
    const query = (headers: Record<string, string>) => limited.send('GET', CURRENT, { key: null, headers });
    expect((await query(mallory)).status).toBe(429);
    expect((await query({ 'x-forwarded-for': '203.0.113.2' })).status).toBe(401);
  });

  test('logs the id of the key, and neither the key nor the token', async () => {
    const cookie = await signIn(hangup);
    const token = cookie.split('=')[1] ?? '';
    await expect
      .poll(
        () => hangup.log.filter(({ fields }) => fields['path'] === '/console/session').at(-1)?.fields,
        WAIT,
      )
      .toMatchObject({ status: 200, keyId: token.split('.')[0] });
    const text = JSON.stringify(hangup.log);
    expect(text).not.toContain(hangup.key);
    expect(text).not.toContain(token);
  });
});

async function keyIdOf(key: string): Promise<string> {
  const { body } = await hangup.send('GET', '/api/v1/api-keys/current', { key });
  return (body as { data?: { id: string } }).data?.id ?? '';
}

describe('DELETE /console/session', () => {
  test('clears the cookie, also without a session', async () => {
    for (const cookie of [await signIn(hangup), 'a=b']) {
      const headers = { ...CONSOLE, cookie };
      const { status, headers: answered } = await hangup.send('DELETE', '/console/session', {
        key: null,
        headers,
      });
      expect(status).toBe(204);
      expect(cookieOf(answered)).toEqual({
        pair: 'hangup_session=',
        attributes: { Path: '/console', HttpOnly: '', SameSite: 'Strict', 'Max-Age': '0' },
      });
    }
  });

  test('returns 405 for other methods', async () => {
    for (const method of ['GET', 'HEAD', 'PUT']) {
      const { status, headers } = await hangup.send(method, '/console/session', { headers: CONSOLE });
      expect([status, headers.get('allow')]).toEqual([405, 'POST, DELETE']);
    }
  });
});

describe('/console/trpc/', () => {
  test('authenticates by the cookie only', async () => {
    const cookie = await signIn(hangup);
    expect(await statusWith(`a=b; ${cookie}; c=d`)).toBe(200);
    for (const other of ['', 'hangup_session', 'hangup_session=', `x${cookie}`])
      expect(await statusWith(other)).toBe(401);
    const { key } = hangup;
    for (const headers of [{ 'x-api-key': key }, { authorization: `Bearer ${key}` }])
      expect((await hangup.send('GET', CURRENT, { key: null, headers })).status).toBe(401);
  });

  test('/trpc/ and /api/v1/ never read the cookie', async () => {
    const headers = { ...CONSOLE, cookie: await signIn(hangup) };
    for (const path of [
      '/trpc/apiKeys.current',
      '/api/v1/api-keys/current',
      '/api/v1/calls',
      '/api/v1/events',
    ])
      expect((await hangup.send('GET', path, { key: null, headers })).status).toBe(401);
  });

  test('has the scopes and the organization of the key', async () => {
    const reader = await signIn(hangup, await hangup.createKey('acme', ['calls:read']));
    const other = await signIn(hangup, await hangup.createKey('other'));
    const input = encodeURIComponent('{"callId":"call"}');
    const get = async (cookie: string) =>
      (await hangup.send('GET', `/console/trpc/calls.get?input=${input}`, { key: null, headers: { cookie } }))
        .status;
    expect([await get(reader), await get(other)]).toEqual([200, 403]);
    const { status, body } = await hangup.send('POST', '/console/trpc/calls.cancel', {
      key: null,
      body: { callId: 'call' },
      headers: { ...CONSOLE, cookie: reader },
    });
    expect(status).toBe(403);
    expect(body).toMatchObject({ error: { message: 'Access denied - API key lacks scope: calls:cancel' } });
  });

  test('refuses a request for another key than that of the session, which changes nothing', async () => {
    await hangup.insertCall({ id: 'shown', status: 'active' });
    const cookie = await signIn(hangup);
    const id = cookie.split(/[=.]/)[1] ?? '';
    const send = (method: string, path: string, expected: string) => {
      const headers = { ...CONSOLE, cookie, 'x-hangup-key-id': expected };
      const body = { callId: 'shown' };
      return hangup.send(method, path, { key: null, headers, ...(method === 'POST' && { body }) });
    };
    const batch = `${CURRENT},agents.list?batch=1`;
    for (const other of [await keyIdOf(await hangup.createKey('acme')), 'x', `${id},${id}`, '']) {
      const { status, body } = await send('POST', '/console/trpc/calls.cancel', other);
      expect([status, body]).toMatchObject([
        401,
        { error: { message: 'Unauthorized - the session belongs to another API key' } },
      ]);
      expect((await send('GET', batch, other)).status).toBe(401);
    }
    expect((await hangup.store.findCall('shown'))?.call.status).toBe('active');
    expect((await send('GET', batch, id)).status).toBe(200);
    expect((await send('POST', '/console/trpc/calls.cancel', id)).status).toBe(200);
  });

  test('records the key as the author of a change', async () => {
    await hangup.insertCall({ id: 'mine', status: 'active' });
    const cookie = await signIn(hangup);
    const { status } = await hangup.send('POST', '/console/trpc/calls.cancel', {
      key: null,
      body: { callId: 'mine' },
      headers: { ...CONSOLE, cookie },
    });
    expect(status).toBe(200);
    const events = await hangup.store.listCallEvents({ callId: 'mine', after: 0, limit: 10 });
    expect(events.at(-1)).toMatchObject({ actor: 'api_key', actorId: await keyIdOf(hangup.key) });
  });

  test('answers no preflight, also for an origin in CORS_ORIGINS', async () => {
    const open = await startHangup({ settings: { corsOrigins: ['*'] } });
    onTestFinished(() => open.stop());
    for (const path of ['/console/session', CURRENT]) {
      for (const method of ['OPTIONS', 'GET', 'POST', 'DELETE']) {
        const { status, headers } = await open.send(method, path, {
          headers: { origin: 'https://app.example.com', 'access-control-request-method': 'POST' },
        });
        expect(status).toBeGreaterThanOrEqual(400);
        expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
      }
    }
  });
});

describe('a request that changes something', () => {
  /** Sends a request with these headers to the session and to tRPC. Returns their statuses. */
  async function statusesWith(headers: Record<string, string>): Promise<number[]> {
    const cookie = await signIn(hangup);
    const host = new URL(hangup.url).host;
    const send = (line: string, fields: Record<string, string>, body = '') => {
      const all = { host, connection: 'close', 'content-length': String(body.length), ...fields, ...headers };
      const head = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
      return sendRaw(hangup.url, `${line} HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n${body}`);
    };
    const json = { 'content-type': 'application/json' };
    const answers = await Promise.all([
      send('POST /console/session', json, JSON.stringify({ apiKey: hangup.key })),
      send('DELETE /console/session', {}),
      send('POST /console/trpc/calls.cancel', { cookie, ...json }, '{"callId":"none"}'),
    ]);
    return answers.map(({ status }) => status);
  }
  const DONE = [200, 204, 404];
  const REFUSED = [403, 403, 403];

  test('needs the header x-hangup-console: 1', async () => {
    expect(await statusesWith({ 'x-hangup-console': '1' })).toEqual(DONE);
    expect(await statusesWith({})).toEqual(REFUSED);
    for (const value of ['', '0', 'true', '1, 1'])
      expect(await statusesWith({ 'x-hangup-console': value })).toEqual(REFUSED);
  });

  test('must have the host of its Origin', async () => {
    const { host, port } = new URL(hangup.url);
    const from = (origin: string, other: Record<string, string> = {}) =>
      statusesWith({ ...CONSOLE, origin, ...other });
    expect(await from(`http://${host}`)).toEqual(DONE);
    expect(await from('https://calls.example.com', { host: 'calls.example.com' })).toEqual(DONE);
    expect(await from('https://calls.example.com', { host: 'calls.example.com:443' })).toEqual(DONE);
    for (const origin of [
      'https://evil.example.com',
      `http://localhost.evil.example.com:${port}`,
      `http://127.0.0.1:${Number(port) + 1}`,
      'http://127.0.0.1',
      'null',
      '',
      'file://',
      `ftp://${host}`,
    ])
      expect(await from(origin), origin).toEqual(REFUSED);
    expect(await from('https://calls.example.com', { host: 'calls.example.com:8443' })).toEqual(REFUSED);
  });

  test('changes nothing when it is refused', async () => {
    await hangup.insertCall({ id: 'kept', status: 'active' });
    const headers = { cookie: await signIn(hangup) };
    const body = { callId: 'kept' };
    const { status, body: answered } = await hangup.send('POST', '/console/trpc/calls.cancel', {
      key: null,
      body,
      headers,
    });
    expect(status).toBe(403);
    expect(answered).toEqual({
      error: { message: 'Access denied - expected the header x-hangup-console: 1', code: 403 },
    });
    expect((await hangup.store.findCall('kept'))?.call.status).toBe('active');
  });
});

describe('a session', () => {
  async function start(options: Parameters<typeof startHangup>[0] = {}) {
    const started = await startHangup(options);
    onTestFinished(() => started.stop());
    return started;
  }

  test('ends after 12 hours', async () => {
    const clock = manualClock(HOUR_MS);
    const own = await start({ clock });
    const cookie = await signIn(own);
    clock.set(13 * HOUR_MS - 1);
    expect(await statusWith(cookie, own)).toBe(200);
    clock.set(13 * HOUR_MS);
    expect(await statusWith(cookie, own)).toBe(401);
  });

  test('ends with its key, if the key expires earlier', async () => {
    const clock = manualClock(HOUR_MS);
    const own = await start({ clock });
    const { headers } = await postSession(own, await own.createKey('acme', SCOPES, 3 * HOUR_MS));
    const cookie = cookieOf(headers);
    expect(cookie?.attributes['Max-Age']).toBe('7200');
    expect(cookie?.pair).toContain(`.${3 * HOUR_MS}.`);
    clock.set(3 * HOUR_MS - 1);
    expect(await statusWith(cookie?.pair ?? '', own)).toBe(200);
    clock.set(3 * HOUR_MS);
    expect(await statusWith(cookie?.pair ?? '', own)).toBe(401);
  });

  test('ends at once when its key is revoked', async () => {
    const key = await hangup.createKey('acme');
    const cookie = await signIn(hangup, key);
    expect(await statusWith(cookie)).toBe(200);
    await hangup.store.revokeApiKey({ id: await keyIdOf(key), now: 1 });
    expect(await statusWith(cookie)).toBe(401);
  });

  test('needs the signature of hangup for its key and its expiry', async () => {
    const [mine = '', theirs = ''] = [
      await signIn(hangup),
      await signIn(hangup, await hangup.createKey('b')),
    ];
    const [name, token = ''] = mine.split('=');
    const [keyId, expiresAt, signature = ''] = token.split('.');
    const otherId = theirs.split('=')[1]?.split('.')[0];
    const flipped = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    for (const forged of [
      `${otherId}.${expiresAt}.${signature}`,
      `${keyId}.${Number(expiresAt) + 1}.${signature}`,
      `${keyId}.${expiresAt}.${flipped}`,
      `${keyId}.${expiresAt}.${signature.slice(0, -1)}`,
      `${keyId}.${expiresAt}.`,
      `${keyId}.${expiresAt}`,
      `key_none.${expiresAt}.${signature}`,
      token.slice(0, -10),
      `${token}x`,
      '..',
    ])
      expect(await statusWith(`${name}=${forged}`), forged).toBe(401);
  });

  test('is valid on each process with the same secret and database, and on no other', async () => {
    const cookie = await signIn(hangup);
    const { database, livekit } = hangup;
    const sibling = await start({ livekit, settings: { database } });
    expect(await statusWith(cookie, sibling)).toBe(200);
    const otherSecret = { ...livekit, apiSecret: 'x'.repeat(32) };
    const stranger = await start({ livekit: otherSecret, settings: { database } });
    expect(await statusWith(cookie, stranger)).toBe(401);
  });

  test('ends its open event streams when its key is revoked or the session expires', async () => {
    for (const end of ['revoke', 'expire'] as const) {
      const timers = manualTimers();
      const clock = manualClock(Date.now());
      const own = await start({ timers, clock });
      const cookie = await signIn(own);
      const url = `${own.url}/console/trpc`;
      const headers = { ...CONSOLE, cookie };
      const client = createTRPCClient<AppRouter>({
        links: [
          splitLink({
            condition: ({ type }) => type === 'subscription',
            true: httpSubscriptionLink({
              url,
              EventSource,
              eventSourceOptions: {
                fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, cookie } }),
              },
            }),
            false: httpBatchLink({ url, headers }),
          }),
        ],
      });
      const types: string[] = [];
      const errors: string[] = [];
      const subscription = client.events.stream.subscribe(
        {},
        { onData: ({ data }) => types.push(data.type), onError: ({ message }) => errors.push(message) },
      );
      onTestFinished(() => subscription.unsubscribe());
      await expect.poll(() => types, WAIT).toEqual(['opened']);
      await client.calls.create.mutate({ id: 'call' });
      await expect.poll(() => types, WAIT).toContain('call.created');
      timers.fire(15_000);
      expect(errors).toEqual([]);
      const [key] = await own.store.listApiKeys();
      if (end === 'revoke') await own.store.revokeApiKey({ id: key?.id ?? '', now: 1 });
      else clock.set(clock.now() + 12 * HOUR_MS);
      timers.fire(15_000);
      await expect.poll(() => errors, WAIT).toEqual(['Unauthorized']);
    }
  });
});
