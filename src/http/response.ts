import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { PublicError } from '../api/errors.ts';
import { hasBody } from './body.ts';

/** Limits of the unread body that is discarded after the response, so that the client can read the response. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024;
const DISCARD_TIMEOUT_MS = 2_000;

/** In seconds: the usual duration of a database lock or a restart, which cause a 503. */
const RETRY_AFTER = { 'retry-after': '1' };

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

/**
 * Sends a response, without its body for HEAD.
 * @param headers must include `content-type`
 */
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
    ...(status === 503 && RETRY_AFTER),
    ...headers,
    ...(isBodyUnread(request) && { connection: 'close' }),
  });
  endResponse(request, response, request.method === 'HEAD' ? '' : body);
}

/** Sends `{"error":{"message","code"}}`, the shape of every error outside /trpc. */
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
 * Sends the body and ends the response. While the client still sends its request, a close would reset the connection
 * before the client reads the response. Therefore the rest of the request is discarded first, up to a limit.
 */
function endResponse(request: IncomingMessage, response: ServerResponse, body: string): void {
  if (!isBodyUnread(request)) {
    response.end(body);
    return;
  }
  response.write(body);
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, DISCARD_TIMEOUT_MS);
  let discarded = 0;
  request
    .on('data', (chunk: Buffer) => {
      discarded += chunk.length;
      if (discarded > MAX_DISCARDED_BYTES) end();
    })
    .once('end', end)
    .once('close', end)
    .resume();
}
