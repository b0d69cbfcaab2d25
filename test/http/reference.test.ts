import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';

/* The API reference at /docs. test/browser/reference.test.ts opens the page in Chromium. */

let hangup: Hangup;
let html: string;
beforeAll(async () => {
  hangup = await startHangup();
  html = await (await fetch(`${hangup.url}/docs`)).text();
});
afterAll(() => hangup.stop());

/** The paths of the files that the page loads, relative to /docs. */
const filesOf = (page: string) =>
  [...page.matchAll(/(?:src|href)="(docs\/[^"]+)"/g)].map(([, file = '']) => file);

test('GET /docs returns a page that is not cached and needs no API key', async () => {
  const response = await fetch(`${hangup.url}/docs`);
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': expect.any(String),
  });
  expect(await response.text()).toContain('<title>hangup API reference</title>');
});

test('the policy of the page allows no inline script, no eval and no other host', async () => {
  const { headers } = await fetch(`${hangup.url}/docs`);
  const policy = new Map(
    (headers.get('content-security-policy') ?? '').split('; ').map((directive) => {
      const [name = '', ...sources] = directive.split(' ');
      return [name, sources] as const;
    }),
  );
  expect(policy.get('default-src')).toEqual(["'none'"]);
  expect(policy.get('script-src')).toEqual(["'self'"]);
  expect(policy.get('connect-src')).toEqual(["'self'"]);
  for (const name of ['base-uri', 'form-action', 'frame-ancestors'])
    expect(policy.get(name)).toEqual(["'none'"]);
  expect(policy.get('img-src')).toEqual(["'self'", 'data:']);
  expect(policy.get('worker-src')).toEqual(['blob:']);
  const sources = [...policy.values()].flat();
  expect(sources.filter((source) => !/^('(none|self|sha256-.+)'|blob:|data:)$/.test(source))).toEqual([]);
});

test('each file of the page has the hash of its content in its name, and is cached for a year', async () => {
  const files = filesOf(html);
  expect(files.map((file) => file.split('-')[0])).toEqual([
    'docs/icon',
    'docs/style',
    'docs/redoc',
    'docs/start',
  ]);
  for (const file of files) {
    const response = await fetch(`${hangup.url}/${file}`);
    const body = Buffer.from(await response.arrayBuffer());
    expect(response.status, file).toBe(200);
    expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(response.headers.get('content-length')).toBe(String(body.length));
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 16);
    expect(file).toMatch(new RegExp(`-${hash}\\.(svg|css|js)$`));
  }
});

test("Redoc's script does not load Redoc's logo from another host", async () => {
  const script = filesOf(html).find((file) => file.startsWith('docs/redoc-'));
  const text = await (await fetch(`${hangup.url}/${script}`)).text();
  expect(text).toContain('redocly logo');
  expect(text).not.toContain('cdn.redoc.ly');
});

describe('other requests for the reference', () => {
  test('HEAD returns the headers of GET without a body', async () => {
    for (const path of ['docs', ...filesOf(html)]) {
      const [head, get] = await Promise.all(
        ['HEAD', 'GET'].map((method) => fetch(`${hangup.url}/${path}`, { method })),
      );
      expect(await head?.text()).toBe('');
      for (const name of ['content-length', 'content-type', 'cache-control', 'content-security-policy']) {
        expect(head?.headers.get(name), `${path} ${name}`).toBe(get?.headers.get(name));
      }
      await get?.arrayBuffer();
    }
  });

  test.each(['POST', 'PUT', 'DELETE'])('%s returns 405', async (method) => {
    for (const path of ['/docs', '/docs/start.js']) {
      const { status, headers, body } = await hangup.send(method, path);
      expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD']);
      expect(body).toEqual({ error: { message: 'Method not allowed', code: 405 } });
    }
  });

  test.each([
    '/docs/start-0000000000000000.js',
    '/docs/../package.json',
    '/docs/%2e%2e/package.json',
    '/docsx',
  ])('GET %s returns 404', async (path) => {
    const { status, body } = await hangup.send('GET', path);
    expect([status, body]).toEqual([404, { error: { message: 'Not found', code: 404 } }]);
  });

  test('GET /docs/ redirects to /docs', async () => {
    const response = await fetch(`${hangup.url}/docs/`, { redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([308, '../docs']);
    expect((await fetch(`${hangup.url}/docs/`)).url).toBe(`${hangup.url}/docs`);
  });

  test('an unknown query returns 400', async () => {
    const { status } = await hangup.send('GET', '/docs?v=2');
    expect(status).toBe(400);
  });
});
