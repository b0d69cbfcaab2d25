import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { PublicError } from '../api/errors.ts';
import { hasBody } from './body.ts';

/** What of an unread body is still thrown away after its answer, so that the client gets to read that. */
const DISCARD_AT_MOST_BYTES = 16 * 1024 * 1024;
const DISCARD_AT_MOST_MS = 2_000;

/** In seconds: what a 503 waits for, a lock or a restart, takes about as long. */
const RETRY_SOON = { 'retry-after': '1' };

export function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  const body = JSON.stringify(value);
  sendText(request, response, status, body, { 'content-type': 'application/json', ...headers });
}

/** @param headers with their `content-type` */
export function sendText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: string,
  headers: OutgoingHttpHeaders,
): void {
  response.writeHead(status, {
    'content-length': Buffer.byteLength(body),
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(status === 503 && RETRY_SOON),
    ...headers,
    ...(isBodyUnread(request) && { connection: 'close' }),
  });
  finish(request, response, request.method === 'HEAD' ? '' : body);
}

/** `{"error":{"message","code"}}`, the shape of every error that is not tRPC's. */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  { code, message }: PublicError,
  headers: OutgoingHttpHeaders = {},
): void {
  sendJson(request, response, code, errorBody({ code, message }), headers);
}

export function errorBody({ code, message }: PublicError) {
  return { error: { message, code } };
}

function isBodyUnread(request: IncomingMessage): boolean {
  return hasBody(request) && !request.complete && request.headers.expect === undefined;
}

/**
 * Closing while the client still sends resets the connection, and the client never sees the answer. So the answer
 * goes out whole, the rest of the body is thrown away for a while, and then the connection is closed.
 */
function finish(request: IncomingMessage, response: ServerResponse, body: string): void {
  if (!isBodyUnread(request)) {
    response.end(body);
    return;
  }
  response.write(body);
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, DISCARD_AT_MOST_MS);
  let discarded = 0;
  request
    .on('data', (chunk: Buffer) => {
      discarded += chunk.length;
      if (discarded > DISCARD_AT_MOST_BYTES) end();
    })
    .once('end', end)
    .once('close', end)
    .resume();
}
