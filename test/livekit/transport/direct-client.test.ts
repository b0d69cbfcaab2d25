import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { getCACertificates, setDefaultCACertificates, TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createDirectClient } from '../../../src/livekit/transport/direct-client.ts';
import type { HttpClient } from '../../../src/livekit/transport/http-client.ts';
import { temporaryFolder } from '../../harness/temporary.ts';

const REQUEST = { path: '/p', authorization: 'Bearer t', contentType: 'application/json' };
const response = (body: string, headers = '') =>
  `HTTP/1.1 200 OK\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

async function listen(server: Server | HttpServer, host = '127.0.0.1'): Promise<number> {
  await once(server.listen(0, host), 'listening');
  onTestFinished(() => void server.close());
  return z.object({ port: z.number() }).parse(server.address()).port;
}

/**
 * Starts a server that answers with raw bytes.
 * @param respond takes the numbers of the connection and of its request, from 1; null: no response
 */
async function start(respond: (connection: number, request: number, text: string) => string | null) {
  const sockets: Socket[] = [];
  const closed: number[] = [];
  const server = createServer((socket) => {
    const connection = sockets.push(socket);
    let requests = 0;
    socket.on('error', () => {});
    socket.on('close', () => closed.push(connection));
    socket.on('data', (bytes) => {
      requests += 1;
      const bytesToSend = respond(connection, requests, bytes.toString());
      if (bytesToSend !== null) socket.write(bytesToSend);
    });
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  let nowMs = 0;
  const client = createDirectClient(`http://127.0.0.1:${await listen(server)}`, () => nowMs);
  return {
    client,
    sockets,
    closed,
    wait: (durationMs: number) => {
      nowMs += durationMs;
    },
  };
}

async function post(client: HttpClient, body: string | Uint8Array = '{}') {
  const { status, headers, body: received } = await client.post({ ...REQUEST, body }).response;
  return { status, headers, text: (await buffer(received)).toString() };
}

test('a request has the headers of an HTTP/1.1 POST, and its body in UTF-8', async () => {
  const requests: string[] = [];
  const { client } = await start((_connection, _request, text) => {
    requests.push(text);
    return response('{}');
  });
  await post(client, '{"room":"né"}');
  await post(client, Buffer.from([0x0a, 0x01, 0x61]));
  expect(requests[0]?.replace(/127.0.0.1:\d+/, 'HOST')).toBe(
    'POST /p HTTP/1.1\r\nHost: HOST\r\nConnection: keep-alive\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"room":"né"}',
  );
  expect(requests[1]?.endsWith('Content-Length: 3\r\n\r\n\n\u0001a')).toBe(true);
});

test('the path of the URL precedes the path of a request', async () => {
  const paths: (string | undefined)[] = [];
  const server = createHttpServer((request, answer) => {
    paths.push(request.url);
    answer.end('{}');
  });
  onTestFinished(() => server.closeAllConnections());
  const port = await listen(server);
  for (const path of ['', '/', '/livekit']) await post(createDirectClient(`http://127.0.0.1:${port}${path}`));
  expect(paths).toEqual(['/p', '/p', '/livekit/p']);
});

test('concurrent requests use a connection each, and later ones the connection that became idle last', async () => {
  const { client, sockets } = await start((connection) => response(String(connection)));
  const first = client.post({ ...REQUEST, body: '1' });
  const second = client.post({ ...REQUEST, body: '2' });
  for (const { response: received } of [second, first]) await buffer((await received).body);
  const latest = (await post(client)).text;
  expect((await post(client)).text).toBe(latest);
  expect(sockets).toHaveLength(2);
});

test('an idle connection is not reused after 5 s', async () => {
  const { client, wait, closed } = await start((connection) => response(String(connection)));
  expect((await post(client)).text).toBe('1');
  wait(4_999);
  expect((await post(client)).text).toBe('1');
  wait(5_000);
  expect((await post(client)).text).toBe('2');
  await expect.poll(() => closed).toEqual([1]);
});

test('idle connections are closed after 5 s without a further request', async () => {
  const { client, wait, closed } = await start(() => response('{}'));
  await Promise.all([post(client), post(client)]);
  wait(5_000);
  await expect.poll(() => new Set(closed)).toEqual(new Set([1, 2]));
});

test.each([
  ['Connection: close\r\n', 0, '2'],
  ['Keep-Alive: timeout=3\r\n', 1_999, '1'],
  ['Keep-Alive: timeout=3, max=9\r\n', 2_000, '2'],
  ['Keep-Alive: timeout=1\r\n', 0, '2'],
  ['Keep-Alive: timeout=60\r\n', 4_999, '1'],
  ['Keep-Alive: timeout=60\r\n', 5_000, '2'],
])(
  'after a response with %j and %i ms, the next request uses connection %s',
  async (header, afterMs, expected) => {
    const { client, wait } = await start((connection) => response(String(connection), header));
    await post(client);
    wait(afterMs);
    expect((await post(client)).text).toBe(expected);
  },
);

test('a connection that receives bytes without a request is not reused', async () => {
  const { client, sockets, closed } = await start((connection) => response(String(connection)));
  await post(client);
  sockets[0]?.write(response('unsolicited'));
  await expect.poll(() => closed).toEqual([1]);
  expect((await post(client)).text).toBe('2');
});

test('a request is repeated on a new connection when its kept connection fails before the response', async () => {
  const { client, sockets } = await start((connection, request) => {
    if (connection === 1 && request === 2) sockets[0]?.resetAndDestroy();
    return response(String(connection));
  });
  await post(client);
  expect((await post(client)).text).toBe('2');
});

test('a request is not repeated when its kept connection fails in the body', async () => {
  const { client, sockets } = await start((_, request) => {
    if (request === 1) return response('{}');
    setImmediate(() => sockets[0]?.end());
    return 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{';
  });
  await post(client);
  await expect(post(client)).rejects.toThrow('aborted');
  expect(sockets).toHaveLength(1);
});

test('an aborted request fails with the error of the abort, and is not repeated', async () => {
  let requests = 0;
  const { client, closed } = await start((_, request) => {
    requests = request;
    return request === 1 ? response('{}') : null;
  });
  await post(client);
  const exchange = client.post({ ...REQUEST, body: '{}' });
  await expect.poll(() => requests).toBe(2);
  exchange.abort(new Error('too late'));
  await expect(exchange.response).rejects.toThrow('too late');
  await expect.poll(() => closed).toEqual([1]);
});

test('a request is aborted while its connection opens', async () => {
  const { client, sockets } = await start(() => response('{}'));
  const exchange = client.post({ ...REQUEST, body: '{}' });
  exchange.abort(new Error('too late'));
  await expect(exchange.response).rejects.toThrow('too late');
  expect((await post(client)).text).toBe('{}');
  expect(sockets.length).toBeLessThanOrEqual(2);
});

test('an abort fails the body of a response', async () => {
  const { client, closed } = await start(() => 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{');
  const exchange = client.post({ ...REQUEST, body: '{}' });
  const { body } = await exchange.response;
  const read = buffer(body);
  exchange.abort(new Error('too late'));
  await expect(read).rejects.toThrow('too late');
  await expect.poll(() => closed).toEqual([1]);
});

test('an abort after the complete response keeps the connection', async () => {
  const { client, sockets } = await start(() => response('{}'));
  const exchange = client.post({ ...REQUEST, body: '{}' });
  await buffer((await exchange.response).body);
  exchange.abort(new Error('too late'));
  await post(client);
  expect(sockets).toHaveLength(1);
});

test('a slow reader pauses the connection, and receives the complete body', async () => {
  const bytes = Buffer.alloc(16 * 1024 * 1024, 'x');
  let sent: Socket | null = null;
  const server = createServer((socket) => {
    sent = socket;
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes.length}\r\n\r\n`);
      socket.end(bytes);
    });
  });
  const client = createDirectClient(`http://127.0.0.1:${await listen(server)}`);
  const { body } = await client.post({ ...REQUEST, body: '{}' }).response;
  const unsent = () => sent?.writableLength ?? 0;
  // The buffers of the sockets are full, and the rest waits in the server.
  let before = -1;
  await expect
    .poll(() => {
      const isStalled = unsent() === before;
      before = unsent();
      return isStalled;
    })
    .toBe(true);
  expect(unsent()).toBeGreaterThan(0);
  expect((await buffer(body)).equals(bytes)).toBe(true);
});

test('a connection that a slow reader paused can be reused', async () => {
  const { client, sockets } = await start((_, request) =>
    response('x'.repeat(request === 1 ? 1_000_000 : 1)),
  );
  const { body } = await client.post({ ...REQUEST, body: '{}' }).response;
  expect(await buffer(body)).toHaveLength(1_000_000);
  expect((await post(client)).text).toBe('x');
  expect(sockets).toHaveLength(1);
});

test('the client connects to IPv6 addresses', async () => {
  const server = createHttpServer((request, answer) => answer.end(request.headers.host));
  onTestFinished(() => server.closeAllConnections());
  const port = await listen(server, '::1');
  expect((await post(createDirectClient(`http://[::1]:${port}`))).text).toBe(`[::1]:${port}`);
});

test('https requires a trusted certificate, and resumes its session on the next connection', async () => {
  const folder = temporaryFolder();
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...name],
    { stdio: 'pipe' },
  );
  const resumed: boolean[] = [];
  const server = createHttpsServer(
    { key: readFileSync(key), cert: readFileSync(cert) },
    (request, answer) => {
      resumed.push(request.socket instanceof TLSSocket && request.socket.isSessionReused());
      answer.setHeader('connection', 'close').end('{}');
    },
  );
  const url = `https://localhost:${await listen(server)}`;
  await expect(post(createDirectClient(url))).rejects.toThrow('self-signed certificate');
  const trusted = getCACertificates('default');
  setDefaultCACertificates([...trusted, readFileSync(cert, 'utf8')]);
  onTestFinished(() => setDefaultCACertificates(trusted));
  const client = createDirectClient(url);
  expect((await post(client)).text).toBe('{}');
  expect((await post(client)).text).toBe('{}');
  expect(resumed).toEqual([false, true]);
  const otherName = createDirectClient(url.replace('localhost', '127.0.0.1'));
  await expect(post(otherName)).rejects.toThrow('does not match');
});
