import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { sendBytes } from '../harness/raw-http.ts';

/* The files of the console. test/console/browser opens the console in Chromium. */

let hangup: Hangup;
let html: string;
beforeAll(async () => {
  hangup = await startHangup();
  html = await (await fetch(`${hangup.url}/console/`)).text();
});
afterAll(() => hangup.stop());

/** The paths of the files that the page loads. */
const filesOf = (page: string) =>
  [...page.matchAll(/(?:src|href)="(\/console\/[^"]+)"/g)].map(([, file = '']) => file);

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

test.each([
  '/console/',
  '/console/calls',
  '/console/calls/call-1',
  '/console/calls/call-1.js',
  '/console/calls/a%2Fb?tab=events',
  '/console/stop',
  '/console/health',
  '/console/keys',
  '/console/sign-in',
  '/console/?status=active&status=ringing',
])('GET %s returns the page, which is not cached and needs no API key', async (path) => {
  const response = await fetch(`${hangup.url}${path}`);
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': expect.any(String),
  });
  expect(response.headers.getSetCookie()).toEqual([]);
  expect(await response.text()).toBe(html);
});

test('the policy of the page allows no inline script, no inline style, no eval and no other host', async () => {
  const { headers } = await fetch(`${hangup.url}/console/`);
  const policy = Object.fromEntries(
    (headers.get('content-security-policy') ?? '').split('; ').map((directive) => {
      const [name = '', ...sources] = directive.split(' ');
      return [name, sources.join(' ')];
    }),
  );
  expect(policy).toMatchObject({
    'default-src': "'none'",
    'script-src': "'self'",
    'style-src': "'self'",
    'connect-src': "'self'",
    'form-action': "'self'",
    'base-uri': "'none'",
    'frame-ancestors': "'none'",
  });
  const sources = Object.values(policy).flatMap((text) => text.split(' '));
  expect(sources.filter((source) => !["'none'", "'self'", 'data:'].includes(source))).toEqual([]);
  expect(html).not.toMatch(/<script>|<style|\sstyle=|\son\w+=/);
});

test('the page loads only files below /console/, each with the hash of its content in its name', async () => {
  const files = filesOf(html);
  expect(files.map((file) => file.split('.').at(-1))).toEqual(expect.arrayContaining(['css', 'js', 'svg']));
  expect([...html.matchAll(/(?:src|href)="/g)]).toHaveLength(files.length);
  for (const file of files) {
    expect(file).toMatch(/^\/console\/assets\/[\w-]+-[\w-]{8}\.(?:css|js|svg)$/);
    const response = await fetch(`${hangup.url}${file}`);
    expect(response.status, file).toBe(200);
    expect(Object.fromEntries(response.headers), file).toMatchObject({
      'content-type': TYPES[file.slice(file.lastIndexOf('.') + 1)],
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    });
    await response.arrayBuffer();
  }
});

/** Returns a response as the server sends it: fetch would decompress it. */
async function getRaw(
  path: string,
  headers: readonly string[] = [],
): Promise<{ head: string; body: Buffer }> {
  const lines = [`GET ${path} HTTP/1.1`, 'host: 127.0.0.1', 'connection: close', ...headers];
  const bytes = Buffer.from(await sendBytes(hangup.url, `${lines.join('\r\n')}\r\n\r\n`, 'latin1'), 'latin1');
  const at = bytes.indexOf('\r\n\r\n');
  return { head: bytes.subarray(0, at).toString().toLowerCase(), body: bytes.subarray(at + 4) };
}

describe('compression', () => {
  test.each(['gzip', 'gzip, deflate, br, zstd', 'br;q=1, gzip;q=0.5', 'GZIP'])(
    'a client that accepts %j gets gzip',
    async (accepted) => {
      for (const path of ['/console/', ...filesOf(html)]) {
        const plain = await getRaw(path);
        const { head, body } = await getRaw(path, [`accept-encoding: ${accepted}`]);
        expect(head, path).toContain('content-encoding: gzip');
        expect(head).toContain(`content-length: ${body.length}`);
        expect(head).toContain('vary: accept-encoding');
        expect(gunzipSync(body).equals(plain.body), path).toBe(true);
      }
    },
  );

  test.each([
    [[]],
    [['accept-encoding: identity']],
    [['accept-encoding: gzip;q=0']],
    [['accept-encoding: br']],
  ])('a client that sends %j gets no compression', async (headers) => {
    const { head, body } = await getRaw('/console/', headers);
    expect(head).not.toContain('content-encoding');
    expect(head).toContain('vary: accept-encoding');
    expect(body.toString()).toBe(html);
  });
});

describe('other requests for the console', () => {
  test('HEAD returns the headers of GET without a body', async () => {
    for (const path of ['/console/', '/console/calls', ...filesOf(html)]) {
      const [head, get] = await Promise.all(
        ['HEAD', 'GET'].map((method) => fetch(`${hangup.url}${path}`, { method })),
      );
      expect(await head?.text()).toBe('');
      for (const name of ['content-type', 'content-encoding', 'cache-control', 'content-security-policy']) {
        expect(head?.headers.get(name), `${path} ${name}`).toBe(get?.headers.get(name));
      }
      await get?.arrayBuffer();
    }
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('%s returns 403 or 405, and no page', async (method) => {
    for (const path of ['/console/', '/console/calls', filesOf(html)[0] ?? '']) {
      const { status, headers, body } = await hangup.send(method, path);
      expect([403, 405], path).toContain(status);
      expect(headers.get('content-type')).toBe('application/json');
      expect(body).toMatchObject({ error: { code: status } });
      const allowed = await hangup.send(method, path, { headers: { 'x-hangup-console': '1' } });
      expect([allowed.status, allowed.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });

  test.each([
    '/console/assets/',
    '/console/assets/index-00000000.js',
    '/console/assets/index.html',
    '/console/assets',
    '/console/trpc',
    '/console/session/',
    '/console/session/x',
    '/consolex',
    '/Console/',
  ])('GET %s returns 404', async (path) => {
    const { status, body } = await hangup.send('GET', path);
    expect([status, body]).toEqual([404, { error: { message: 'Not found', code: 404 } }]);
  });

  test.each(['/console/assets', '/console/trpc', '/console/session/', '/console/session/x'])(
    'POST %s returns 404, as other unknown paths do',
    async (path) => {
      const { status, body } = await hangup.send('POST', path);
      expect([status, body]).toEqual([404, { error: { message: 'Not found', code: 404 } }]);
    },
  );

  test('GET /console redirects to /console/ and keeps the query', async () => {
    for (const query of ['', '?status=active&agentId=a%20b']) {
      const response = await fetch(`${hangup.url}/console${query}`, { redirect: 'manual' });
      expect([response.status, response.headers.get('location')]).toEqual([308, `/console/${query}`]);
    }
  });

  test.each([
    '/console/assets/../../package.json',
    '/console/assets/../../../../../../etc/passwd',
    '/console/assets/%2e%2e/%2e%2e/package.json',
    '/console/assets/%2e%2e%2f%2e%2e%2fpackage.json',
    '/console/assets/..%2f..%2fpackage.json',
    '/console/assets/..%5c..%5cpackage.json',
    '/console/assets/%252e%252e/%252e%252e/package.json',
    '/console/assets//etc/passwd',
    '/console/assets/%00',
    '/console/assets/index.html%00.js',
  ])('GET %s returns 404', async (path) => {
    const { head } = await getRaw(path);
    expect(head).toMatch(/^http\/1\.1 404 /);
  });

  test.each(['/console/../package.json', '/console/%2e%2e/package.json', '/console//etc/passwd'])(
    'GET %s returns no file of the server',
    async (path) => {
      const { head, body } = await getRaw(path);
      if (/^http\/1\.1 404 /.test(head)) return;
      expect(head).toMatch(/^http\/1\.1 200 /);
      expect(body.toString()).toBe(html);
    },
  );
});

test('no file of the console names another host that it would load from', () => {
  const names = [...html.matchAll(/https?:\/\/[^"'\s]+/g)];
  expect(names).toEqual([]);
  expect(readFileSync('src/console/styles.css', 'utf8')).not.toMatch(/url\(\s*["']?(?:https?:)?\/\//);
});
