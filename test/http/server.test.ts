import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { sendBytes as send } from '../harness/raw-http.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const errorBody = (code: number, message: string) => ({ error: { message, code } });

const sendBytes = (text: string) => send(hangup.url, text);

function bodyOf(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
}

describe('the server returns 404 for an unknown path', () => {
  test.each([
    '/',
    '/api',
    '/api/v1',
    '/api/v1/',
    '/api/v1/calls/',
    '/api/v1/calls/a/b',
    '/api/v1/calls/a/',
    '/api/v2/calls',
    '/API/V1/CALLS',
    '/api/v1//calls',
    '/trpc',
    '/openapi.json/',
    '/%2e%2e/etc/passwd',
    '/api/v1/calls%2Fa',
  ])('at %s', async (path) => {
    for (const key of [hangup.key, null]) {
      const answer = await hangup.send('GET', path, { key });
      expect(answer).toMatchObject({ status: 404, body: errorBody(404, 'Not found') });
      expect(answer.headers.get('content-type')).toBe('application/json');
    }
  });
});

test('the server accepts a request target in absolute form', async () => {
  const answer = await sendBytes(
    `GET http://example.com/api/v1/calls?limit=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: ${hangup.key}\r\n\r\n`,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
});

describe('the server returns 405 with the allowed methods', () => {
  test.each([
    ['PUT', '/api/v1/calls/a', 'DELETE, GET, HEAD'],
    ['POST', '/api/v1/calls/a', 'DELETE, GET, HEAD'],
    ['OPTIONS', '/api/v1/calls/a', 'DELETE, GET, HEAD'],
    ['DELETE', '/api/v1/calls', 'GET, HEAD, POST'],
    ['PATCH', '/api/v1/calls', 'GET, HEAD, POST'],
    ['POST', '/openapi.json', 'GET, HEAD'],
  ])('%s %s', async (method, path, allow) => {
    const answer = await hangup.send(method, path, { key: null });
    expect(answer).toMatchObject({ status: 405, body: errorBody(405, 'Method not allowed') });
    expect(answer.headers.get('allow')).toBe(allow);
  });
});

describe('a body of about 1 MiB', () => {
  test('is refused with 413 by its Content-Length before the body is read', async () => {
    const answer = await sendBytes(
      `POST /api/v1/calls HTTP/1.1\r\nhost: x\r\nx-api-key: ${hangup.key}\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n{`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(bodyOf(answer)).toEqual(errorBody(413, 'Request body too large'));
  });

  test('is refused with 413 when a chunked body exceeds 1 MiB', async () => {
    const status = await new Promise((resolve, reject) => {
      const sent = request(
        `${hangup.url}/api/v1/calls`,
        { method: 'POST', headers: { 'x-api-key': hangup.key, 'content-type': 'application/json' } },
        (response) => resolve(response.resume().statusCode),
      );
      sent.on('error', reject);
      const chunk = Buffer.alloc(64 * 1024, 0x20);
      let left = 20;
      const more = () => {
        left -= 1;
        if (left === 0) sent.end();
        else sent.write(chunk, more);
      };
      more();
    });
    expect(status).toBe(413);
  });

  test('is accepted when it has exactly 1 MiB', async () => {
    const padded = '{}'.padEnd(1024 * 1024, ' ');
    expect(await hangup.send('POST', '/api/v1/calls', { body: padded })).toMatchObject({ status: 201 });
    expect(await hangup.send('POST', '/api/v1/calls', { body: `${padded} ` })).toMatchObject({ status: 413 });
  });

  test('is not read to the end when the client has no key and gets 401', async () => {
    const answer = await sendBytes(
      'POST /api/v1/calls HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n{',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  });

  test('is refused with 401 instead of 100 Continue when the client has no key', async () => {
    const answer = await sendBytes(
      'POST /api/v1/calls HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  });

  test('is requested with 100 Continue when the client may send the body', async () => {
    const socket = sendBytes(
      `POST /api/v1/calls HTTP/1.1\r\nhost: x\r\nx-api-key: ${hangup.key}\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
    );
    expect(await socket).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /);
  });
});

describe('the server returns 415 when the body is not declared as JSON', () => {
  test.each([
    ['text', { 'content-type': 'text/plain' }, '{}'],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'id=a'],
    ['JSON of another kind', { 'content-type': 'application/ld+json' }, '{}'],
    ['a gzipped body', { 'content-encoding': 'gzip' }, gzipSync('{}')],
  ])('for %s', async (_, headers, body) => {
    const response = await fetch(`${hangup.url}/api/v1/calls`, {
      method: 'POST',
      headers: { 'x-api-key': hangup.key, 'content-type': 'application/json', ...headers },
      body,
    });
    expect(response.status).toBe(415);
    expect(await response.json()).toEqual(errorBody(415, expect.stringMatching(/^Unsupported media type/)));
  });

  test('but 201 when the media type has a parameter', async () => {
    const headers = { 'content-type': 'Application/JSON; charset=utf-8' };
    expect(await hangup.send('POST', '/api/v1/calls', { body: '{}', headers })).toMatchObject({
      status: 201,
    });
  });
});

describe('a request that Node.js cannot parse gets', () => {
  test('431 when the headers are too large', async () => {
    const answer = await sendBytes(`GET / HTTP/1.1\r\nhost: x\r\nx-api-key: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 .*\r\ncontent-type: application\/json\r\n/s);
    expect(bodyOf(answer)).toEqual(errorBody(431, 'Request header fields too large'));
  });

  test('400 when the request is not HTTP', async () => {
    const answer = await sendBytes('hello\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(bodyOf(answer)).toEqual(errorBody(400, 'Bad request'));
  });

  test('408 when the request is incomplete', async () => {
    const answer = await sendBytes('GET / HTTP/1.1\r\nhost: x\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(bodyOf(answer)).toEqual(errorBody(408, 'Request timeout'));
  });
});

describe('the log of requests', () => {
  test('has one line for each request with id, key id, status and time, without query, secret or phone number', async () => {
    const { headers } = await hangup.send('GET', '/api/v1/calls?phoneNumber=%2B15551234567');
    const requestId = headers.get('x-request-id');
    expect(requestId).toMatch(/^req_[0-9a-f]{32}$/);
    await expect.poll(() => hangup.log.some(({ fields }) => fields.requestId === requestId)).toBe(true);
    const lines = hangup.log.filter(({ fields }) => fields.requestId === requestId);
    expect(lines).toEqual([
      {
        level: 'info',
        message: 'request',
        fields: {
          requestId,
          method: 'GET',
          path: '/api/v1/calls',
          status: 200,
          durationMs: expect.any(Number),
          keyId: expect.stringMatching(/^key_/),
        },
      },
    ]);
    expect(JSON.stringify(hangup.log)).not.toContain(hangup.key);
    expect(JSON.stringify(hangup.log)).not.toContain('15551234567');
  });

  test('keeps only the beginning of a long path', async () => {
    const { headers } = await hangup.send('GET', `/api/v1/calls/${'a'.repeat(5_000)}`, { key: null });
    const line = () => hangup.log.find(({ fields }) => fields.requestId === headers.get('x-request-id'));
    await expect.poll(() => line()).toBeDefined();
    expect(line()?.fields.path).toMatch(/^\/api\/v1\/calls\/a{186}$/);
  });
});
