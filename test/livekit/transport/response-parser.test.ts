import { Buffer } from 'node:buffer';
import { request } from 'node:http';
import { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createResponseParser, type ResponseHead } from '../../../src/livekit/transport/response-parser.ts';

interface Parsed {
  readonly head: Pick<ResponseHead, 'status'> & { readonly contentType: string | undefined };
  readonly body: string;
}

const OK = 'HTTP/1.1 200 OK\r\n';

/** Parses a response that arrives in these chunks, after which the server closes the connection. */
function parse(chunks: readonly Buffer[]): (Parsed & { readonly isReusable: boolean }) | string {
  let head: ResponseHead | null = null;
  const body: Uint8Array[] = [];
  let isReusable: boolean | null = null;
  const parser = createResponseParser({
    onHead: (received) => {
      head = received;
    },
    onData: (bytes) => body.push(bytes),
    onEnd: (received) => {
      isReusable = received;
    },
  });
  parser.start();
  try {
    for (const chunk of chunks) parser.push(chunk);
    parser.close();
  } catch (error) {
    return String(error);
  }
  return toParsed(head, Buffer.concat(body), isReusable ?? false);
}

function toParsed(head: ResponseHead | null, body: Buffer, isReusable: boolean) {
  if (head === null) throw new Error('the response has no head');
  const { status, headers } = head;
  const contentType = headers['content-type'];
  return { head: { status, contentType }, body: body.toString('latin1'), isReusable };
}

/**
 * Removes tabs after the value of Transfer-Encoding, which are not part of the value (RFC 9110, 5.5). With them, Node reports
 * the encoding chunked, but does not decode the chunks.
 */
function withoutTabs(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  return Buffer.from(text.replaceAll(/^(transfer-encoding:[ \t]*chunked)[ \t]+\r$/gim, '$1\r'), 'latin1');
}

/** Parses the same with Node's HTTP client; null for an error. */
async function parseWithNode(bytes: Buffer): Promise<Parsed | null> {
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const { promise, resolve } = Promise.withResolvers<Parsed | null>();
  const sent = request({ method: 'POST', createConnection: () => socket });
  sent.on('error', () => resolve(null));
  sent.on('upgrade', () => resolve(null));
  sent.on('response', async (response) => {
    try {
      const body = (await buffer(response)).toString('latin1');
      // Node keeps a tab at the end of a value, which is not part of the value (RFC 9110, 5.5).
      const contentType = response.headers['content-type']?.trim();
      resolve(response.complete ? { head: { status: response.statusCode ?? 0, contentType }, body } : null);
    } catch {
      resolve(null);
    }
  });
  sent.end('{}');
  socket.push(bytes);
  socket.push(null);
  const parsed = await promise;
  socket.destroy();
  return parsed;
}

/** Cuts the bytes at these positions. */
function cut(bytes: Buffer, positions: readonly number[]): Buffer[] {
  const ends = [...new Set(positions.map((position) => position % (bytes.length + 1))), bytes.length];
  const sorted = ends.toSorted((a, b) => a - b);
  return sorted.map((end, i) => bytes.subarray(sorted[i - 1] ?? 0, end)).filter(({ length }) => length > 0);
}

const parseText = (text: string) => parse([Buffer.from(text, 'latin1')]);

test.each([
  ['with a length', `${OK}Content-Length: 2\r\n\r\n{}`, { body: '{}', isReusable: true }],
  ['without a body', `${OK}content-length: 0\r\n\r\n`, { body: '', isReusable: true }],
  ['that ends with its connection', `${OK}\r\n{}`, { body: '{}', isReusable: false }],
  ['whose server closes', `${OK}Connection: Close\r\nContent-Length: 2\r\n\r\n{}`, { isReusable: false }],
  ['of HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}', { body: '{}', isReusable: false }],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', { body: '', isReusable: true }],
  [
    'after 100 and 103',
    `HTTP/1.1 100 \r\n\r\nHTTP/1.1 103 E\r\na: b\r\n\r\n${OK}Content-Length: 2\r\n\r\n{}`,
    { body: '{}' },
  ],
  [
    'in chunks, with a tab after the encoding',
    `${OK}Transfer-Encoding: chunked\t\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n`,
    { body: '{}', isReusable: true },
  ],
  [
    'in chunks',
    `${OK}Transfer-Encoding: Chunked\r\n\r\n1\r\n{\r\n00a;a=b\r\n"code":"x"\r\n1\r\n}\r\n0\r\nx: y\r\n\r\n`,
    { body: '{"code":"x"}', isReusable: true },
  ],
])('a response %s is parsed wherever its bytes are cut', (_, text, expected) => {
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0; at < bytes.length; at += 1) expect(parse(cut(bytes, [at]))).toMatchObject(expected);
  expect(parse([...bytes].map((byte) => Buffer.from([byte])))).toMatchObject(expected);
});

test.each([
  ['that is not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n', /invalid status line/],
  ['with an interim response of HTTP/1.0', `HTTP/1.0 100 Continue\r\n\r\n${OK}\r\n`, /interim response/],
  ['of HTTP/2', 'HTTP/2 200\r\n\r\n', /invalid status line/],
  ['with a header without a colon', `${OK}server\r\n\r\n`, /invalid header/],
  ['with a space before the colon', `${OK}Content-Length : 2\r\n\r\n{}`, /invalid header/],
  ['with a folded header', `${OK}a: b\r\n c\r\n\r\n`, /invalid header/],
  ['with two lengths', `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x`, /invalid Content-Length/],
  ['with a negative length', `${OK}Content-Length: -2\r\n\r\n{}`, /invalid Content-Length/],
  [
    'with a length and chunks',
    `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
    /Transfer-Encoding/,
  ],
  ['in an unknown encoding', `${OK}Transfer-Encoding: gzip\r\n\r\n{}`, /Transfer-Encoding/],
  ['with an invalid chunk size', `${OK}Transfer-Encoding: chunked\r\n\r\n-2\r\n{}`, /invalid chunk size/],
  [
    'with a chunk over its size',
    `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\n{} \r\n0\r\n\r\n`,
    /longer than its size/,
  ],
  ['with a head of 20 KiB', `${OK}a: ${'x'.repeat(20 * 1024)}\r\n\r\n`, /longer than 16 KiB/],
  ['with an endless head', `${OK}a: ${'x'.repeat(20 * 1024)}`, /longer than 16 KiB/],
  [
    'with endless trailers',
    `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n${`a: ${'x'.repeat(1_000)}\r\n`.repeat(20)}`,
    /16 KiB/,
  ],
  ['that upgrades the protocol', 'HTTP/1.1 101 Switching\r\n\r\n', /protocol upgrade \(HTTP 101\)/],
  ['that ends in its head', `${OK}Content-Le`, /socket hang up/],
  ['that ends in its body', `${OK}Content-Length: 3\r\n\r\n{}`, /aborted/],
  ['that ends in a chunk', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\n{}`, /aborted/],
  ['that ends before its last chunk', `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`, /aborted/],
])('a response %s is refused', (_, text, message) => {
  expect(parseText(text)).toMatch(message);
});

test('bytes after a response are refused', () => {
  const parser = createResponseParser({ onHead: () => {}, onData: () => {}, onEnd: () => {} });
  expect(() => parser.push(Buffer.from('x'))).toThrow('bytes after the end of the response');
  parser.start();
  parser.push(Buffer.from(`${OK}content-length: 0\r\n\r\n`));
  expect(() => parser.push(Buffer.from('x'))).toThrow('bytes after the end of the response');
});

const text = (unit: string, maxLength: number) => fc.string({ unit: fc.constantFrom(...unit), maxLength });
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const headers = fc.array(
  fc.tuple(
    fc.constantFrom('Content-Type', 'Date', 'X-A', 'via', 'Keep-Alive'),
    text(' \tabcXYZ019,;=/"()', 20).map((value) => value.trim()),
  ),
  { maxLength: 4 },
);
const framed = fc.oneof(
  body.map((content) => `Content-Length: ${content.length}\r\n\r\n${content}`),
  body.map((content) => `\r\n${content}`),
  fc
    .record({
      chunks: fc.array(
        body.filter((chunk) => chunk !== ''),
        { maxLength: 4 },
      ),
      extension: fc.constantFrom('', ';a', ';a=b', ';a="b c"'),
      trailer: fc.constantFrom('', 'x-t: 1\r\n'),
    })
    .map(({ chunks, extension, trailer }) => {
      const all = chunks.map((chunk) => `${chunk.length.toString(16)}${extension}\r\n${chunk}\r\n`).join('');
      return `Transfer-Encoding: chunked\r\n\r\n${all}0\r\n${trailer}\r\n`;
    }),
);
/** A valid response, as bytes in Latin-1. */
const response = fc
  .record({
    interim: fc.constantFrom(
      '',
      '',
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n',
    ),
    version: fc.constantFrom('1.1', '1.1', '1.0'),
    status: fc.constantFrom('200', '201', '302', '400', '404', '429', '500', '503'),
    reason: fc.constantFrom(' OK', ' Not Found', ' ', ''),
    headers,
    framed,
  })
  .map(({ interim, version, status, reason, headers, framed }) => {
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return `${interim}HTTP/${version} ${status}${reason}\r\n${lines}${framed}`;
  });
const positions = fc.array(fc.nat(2_000), { maxLength: 6 });

test('valid responses are parsed as Node parses them, wherever their bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(response, positions, async (text, cuts) => {
      const bytes = Buffer.from(text, 'latin1');
      const byNode = await parseWithNode(bytes);
      expect(byNode).not.toBeNull();
      expect(parse(cut(bytes, cuts))).toMatchObject(byNode ?? {});
    }),
    { numRuns: 1_000 },
  );
});

const mutation = fc.record({
  at: fc.nat(2_000),
  remove: fc.nat(3),
  insert: text('\r\n\t :;,-0123afx\0\x80', 3),
});

test('a damaged response that Node refuses is refused, and others are parsed alike', async () => {
  let accepted = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      response,
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      positions,
      async (text, mutations, cuts) => {
        const damaged = mutations.reduce((current, { at, remove, insert }) => {
          // Most of the structure is in the first 150 bytes.
          const start = at % Math.min(150, current.length + 1);
          return current.slice(0, start) + insert + current.slice(start + remove);
        }, text);
        const bytes = Buffer.from(damaged, 'latin1');
        const parsed = parse(cut(bytes, cuts));
        // Refusing a response that Node accepts is safe: the request counts as failed.
        if (typeof parsed === 'string') {
          refused += 1;
          return;
        }
        accepted += 1;
        expect(parsed).toMatchObject((await parseWithNode(withoutTabs(bytes))) ?? { refusedByNode: true });
      },
    ),
    { numRuns: 2_000 },
  );
  expect(accepted).toBeGreaterThan(200);
  expect(refused).toBeGreaterThan(200);
});
