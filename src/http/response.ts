import type { IncomingMessage, ServerResponse } from 'node:http';
import { NOT_FOUND, type PublicError } from '../api/errors.ts';
import { hasBody } from './body.ts';
import { pushRateLimitHeaders } from './rate-limits.ts';
import type { Handler, HttpRequest } from './request.ts';

/** Limits of the unread body that is discarded after the response, so that the client can read the response. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024;
const DISCARD_TIMEOUT_MS = 2_000;

/** The usual duration of a database lock or a restart, which cause a 503. */
const RETRY_AFTER_S = '1';

/** The headers of a response, by their lower-case names. */
type Headers = Readonly<Record<string, string>>;

const NO_HEADERS: Headers = {};

export function sendJson(
  request: HttpRequest,
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Headers = NO_HEADERS,
): void {
  sendText(request, response, status, JSON.stringify(value), 'application/json', headers);
}

/** Sends a response, without its body for HEAD. */
export function sendText(
  request: HttpRequest,
  response: ServerResponse,
  status: number,
  body: string,
  contentType: string,
  headers: Headers = NO_HEADERS,
): void {
  const fields = commonHeaders(request);
  fields.push('content-type', contentType, 'content-length', String(Buffer.byteLength(body)));
  if (status === 401) fields.push('www-authenticate', 'Bearer');
  if (status === 503) fields.push('retry-after', RETRY_AFTER_S);
  for (const name in headers) fields.push(name, headers[name] ?? '');
  const isUnread = isBodyUnread(request);
  if (isUnread && headers['connection'] === undefined) fields.push('connection', 'close');
  response.writeHead(status, fields);
  const sent = request.method === 'HEAD' ? '' : body;
  if (isUnread) endAfterRequest(request, response, sent);
  else endAfterTurn(response, sent);
}

/**
 * Sends a file of a page, without its body for HEAD. The headers replace those of {@link commonHeaders} with the same names:
 * a page has a policy of its own, and a cache may keep a file.
 */
export function sendFile(
  request: HttpRequest,
  response: ServerResponse,
  body: string | Buffer,
  headers: Headers,
): void {
  const own: Headers = { 'content-length': String(Buffer.byteLength(body)), ...headers };
  const common = commonHeaders(request).flatMap((name, index, all) =>
    index % 2 === 0 && !(name in own) ? [name, all[index + 1] ?? ''] : [],
  );
  response.writeHead(200, [...common, ...Object.entries(own).flat()]);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** The value of `cache-control` for a file whose name changes with its content. */
export const CACHED_FOR_A_YEAR = 'public, max-age=31536000, immutable';

let ended: { readonly response: ServerResponse; readonly body: string }[] = [];

/**
 * Sends the body after the other requests that arrived in this turn of the event loop. A client or a proxy on this
 * machine wakes up once for all responses of a turn, and each wake-up takes as long as a read of the store.
 */
function endAfterTurn(response: ServerResponse, body: string): void {
  if (ended.length === 0) setImmediate(endAll);
  ended.push({ response, body });
}

function endAll(): void {
  const all = ended;
  ended = [];
  for (const { response, body } of all) response.end(body);
}

/**
 * The headers that depend on no request, as a flat list of names and values. Strict-Transport-Security belongs to the proxy
 * that has the certificate.
 */
export const FIXED_HEADERS: readonly string[] = [
  // A shared cache would send one organization's response to another.
  'cache-control',
  'no-store',
  // A browser must not run a response as a page or a script, also if the response contains a caller's text.
  'x-content-type-options',
  'nosniff',
  'content-security-policy',
  "default-src 'none'; frame-ancestors 'none'",
  // Browsers check this header only for requests without CORS, such as those of <script> and <img>.
  'cross-origin-resource-policy',
  'same-origin',
  'referrer-policy',
  'no-referrer',
];

/** Returns the headers of every response, as the flat list of names and values that node:http writes fastest. */
export function commonHeaders({ requestId, corsHeaders, rateLimits }: HttpRequest): string[] {
  const fields = ['x-request-id', requestId, ...FIXED_HEADERS, ...corsHeaders];
  if (rateLimits.length > 0) pushRateLimitHeaders(fields, rateLimits);
  return fields;
}

/** Sends `{"error":{"message","code"}}`, the shape of every error outside /trpc. */
export function sendError(
  request: HttpRequest,
  response: ServerResponse,
  { code, message }: PublicError,
  headers: Headers = NO_HEADERS,
): void {
  sendJson(request, response, code, errorBody({ code, message }), headers);
}

export const sendNotFound: Handler = async (request, response) => sendError(request, response, NOT_FOUND);

export function errorBody({ code, message }: PublicError) {
  return { error: { message, code } };
}

function isBodyUnread(request: IncomingMessage): boolean {
  return hasBody(request) && !request.complete && request.headers.expect === undefined;
}

/**
 * Sends the body, and ends the response after the request. While the client still sends its request, a close would reset
 * the connection before the client reads the response. The rest of the request is discarded, up to a limit.
 */
function endAfterRequest(request: IncomingMessage, response: ServerResponse, body: string): void {
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
