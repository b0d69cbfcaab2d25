import { Buffer } from 'node:buffer';

export interface ResponseHead {
  readonly status: number;
  readonly headers: ResponseHeaders;
}

/** By lower-case name. Of a repeated field, the first value counts, as with Node. */
export type ResponseHeaders = Readonly<Partial<Record<string, string>>>;

export interface ResponseEvents {
  onHead(head: ResponseHead): void;
  /** Receives a part of the body, without the framing of chunks. */
  onData(bytes: Uint8Array): void;
  /** @param isReusable whether the connection can carry a further request */
  onEnd(isReusable: boolean): void;
}

export interface ResponseParser {
  /** Starts the next response. */
  start(): void;
  /** @throws Error if the bytes do not continue an HTTP/1 response, or follow its end */
  push(bytes: Buffer): void;
  /** Ends the response of a server that closed its side. @throws Error if the response is incomplete */
  close(): void;
}

type State = 'head' | 'length' | 'until_close' | 'chunk_size' | 'chunk' | 'chunk_end' | 'trailer' | 'ended';

/** The default of Node's own parser. */
const MAX_HEAD_BYTES = 16 * 1024;

/**
 * Creates a parser of the responses to POST requests on one connection, by RFC 9112. It skips interim responses (1xx) and
 * rejects a response whose length is ambiguous.
 */
export function createResponseParser({ onHead, onData, onEnd }: ResponseEvents): ResponseParser {
  let state: State = 'ended';
  /** The bytes of an incomplete head or line. */
  let pending: Buffer | null = null;
  /** Missing bytes of the body, or of the chunk. */
  let remaining = 0;
  let trailerBytes = 0;
  let isPersistent = false;

  /** Each reader reads one element at `at`, and returns the end of the element; `at` if the element is incomplete. */
  function readHead(bytes: Buffer, at: number): number {
    const end = findEnd(bytes, at, '\r\n\r\n');
    if (end === -1) return at;
    const { isHttp11, ...head } = parseHead(bytes.toString('latin1', at, end));
    if (head.status === 101) throw new Error('the response is a protocol upgrade (HTTP 101)');
    if (head.status >= 200) startBody(head, isHttp11);
    else if (!isHttp11) throw notHttp('an interim response of HTTP/1.0');
    return end + 4;
  }

  function startBody(head: ResponseHead, isHttp11: boolean): void {
    const framing = framingOf(head);
    const connection = head.headers['connection']?.toLowerCase();
    isPersistent = isHttp11 && (connection === undefined || !/\bclose\b/.test(connection));
    state = framing === 'chunked' ? 'chunk_size' : framing === 'until_close' ? 'until_close' : 'length';
    remaining = typeof framing === 'number' ? framing : 0;
    onHead(head);
    if (framing === 0) state = 'ended';
  }

  function readLine(bytes: Buffer, at: number, onLine: (line: string) => void): number {
    const end = findEnd(bytes, at, '\r\n');
    if (end === -1) return at;
    onLine(bytes.toString('latin1', at, end));
    return end + 2;
  }

  function onChunkSize(line: string): void {
    const size = CHUNK_SIZE.exec(line)?.[1];
    if (size === undefined) throw notHttp('invalid chunk size');
    remaining = Number.parseInt(size, 16);
    state = remaining === 0 ? 'trailer' : 'chunk';
  }

  function onChunkEnd(line: string): void {
    if (line !== '') throw notHttp('a chunk is longer than its size');
    state = 'chunk_size';
  }

  function onTrailer(line: string): void {
    trailerBytes += line.length;
    if (trailerBytes > MAX_HEAD_BYTES) throw notHttp('the trailers are longer than 16 KiB');
    if (line === '') state = 'ended';
    else parseField(line);
  }

  function readBody(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + remaining);
    remaining -= end - at;
    onData(bytes.subarray(at, end));
    if (remaining > 0) return end;
    state = state === 'chunk' ? 'chunk_end' : 'ended';
    return end;
  }

  function read(bytes: Buffer, at: number): number {
    switch (state) {
      case 'head':
        return readHead(bytes, at);
      case 'length':
      case 'chunk':
        return readBody(bytes, at);
      case 'until_close':
        onData(at === 0 ? bytes : bytes.subarray(at));
        return bytes.length;
      case 'chunk_size':
        return readLine(bytes, at, onChunkSize);
      case 'chunk_end':
        return readLine(bytes, at, onChunkEnd);
      case 'trailer':
        return readLine(bytes, at, onTrailer);
      case 'ended':
        throw notHttp('bytes after the end of the response');
    }
  }

  return {
    start() {
      state = 'head';
      trailerBytes = 0;
    },
    push(chunk) {
      const bytes = pending === null ? chunk : Buffer.concat([pending, chunk]);
      pending = null;
      let at = 0;
      while (at < bytes.length) {
        const end = read(bytes, at);
        if (end === at) {
          pending = bytes.subarray(at);
          return;
        }
        at = end;
      }
      if (state === 'ended') onEnd(isPersistent);
    },
    close() {
      if (state === 'ended') return;
      if (state !== 'until_close') throw connectionError(state === 'head' ? 'socket hang up' : 'aborted');
      state = 'ended';
      onEnd(false);
    },
  };
}

const CHUNK_SIZE =
  /^([\da-f]{1,8})(?:;[\w!#$%&'*+.^`|~-]+(?:=(?:[\w!#$%&'*+.^`|~-]+|"[\t !#-[\]-~\x80-\xff]*"))?)*$/i;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t -~\x80-\xff]*)?$/;
/** Without the non-breaking space, which trim() would remove. */
const FIELD_VALUE = /^[\t -~\x80-\x9f\xa1-\xff]*$/;
/** All values of these fields count. */
const JOINED_FIELDS: readonly string[] = ['connection', 'content-length', 'transfer-encoding'];
const FIELD_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/** Returns the position of the delimiter; -1 if the delimiter has not arrived. */
function findEnd(bytes: Buffer, at: number, delimiter: string): number {
  const end = bytes.indexOf(delimiter, at, 'latin1');
  if ((end === -1 ? bytes.length : end) - at > MAX_HEAD_BYTES)
    throw notHttp('the head is longer than 16 KiB');
  return end;
}

function parseHead(text: string): ResponseHead & { readonly isHttp11: boolean } {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const match = STATUS_LINE.exec(statusLine);
  if (match === null) throw notHttp('invalid status line');
  const headers: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const [name, value] = parseField(line);
    const earlier = headers[name];
    if (earlier === undefined) headers[name] = value;
    else if (JOINED_FIELDS.includes(name)) headers[name] = `${earlier}, ${value}`;
  }
  return { status: Number(match[2]), headers, isHttp11: match[1] === '1' };
}

function parseField(line: string): readonly [name: string, value: string] {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(0, colon)).toLowerCase();
  const value = line.slice(colon + 1);
  if (!FIELD_NAME.test(name) || !FIELD_VALUE.test(value)) throw notHttp('invalid header');
  return [name, value.trim()];
}

/** Returns the length of the body, or how its end is found. */
function framingOf({ status, headers }: ResponseHead): number | 'chunked' | 'until_close' {
  const { 'transfer-encoding': encoding, 'content-length': length } = headers;
  if (status === 204 || status === 304) return 0;
  if (encoding !== undefined) {
    // Two lengths: another server could read a different one (RFC 9112, 6.3).
    if (length !== undefined || encoding.toLowerCase() !== 'chunked')
      throw notHttp('invalid Transfer-Encoding');
    return 'chunked';
  }
  if (length === undefined) return 'until_close';
  if (!/^\d{1,15}$/.test(length)) throw notHttp('invalid Content-Length');
  return Number(length);
}

function notHttp(detail: string): Error {
  return new Error(`the response is not valid HTTP: ${detail}`);
}

/** Returns an error with the code and the texts of Node's HTTP client. */
export function connectionError(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' });
}
