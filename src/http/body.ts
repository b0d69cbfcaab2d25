import type { IncomingMessage, ServerResponse } from 'node:http';
import { TRPCError } from '@trpc/server';
import { badRequest, bodyTooLarge, unsupportedMediaType } from '../api/errors.ts';
import { findJsonProblems, type JsonProblem } from './json.ts';

export const MALFORMED_BODY = 'Malformed JSON body';

/** The largest request body, in bytes, of most endpoints: 1 MiB. */
export const MAX_BODY_BYTES = 1024 * 1024;

/**
 * Returns the JSON object in a request's body. Nothing reads the body before this call, so a request without a valid
 * key costs no body.
 * @throws TRPCError 400, 413, 415
 */
export async function readJsonObject(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes = MAX_BODY_BYTES,
): Promise<object> {
  assertJson(request.headers);
  return parseJsonObject(await readBody(request, response, maxBytes));
}

/**
 * Returns the JSON object in a request's body, or an empty object if there is no body.
 * @throws TRPCError 400, 413, 415
 */
export async function readOptionalJsonObject(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes = MAX_BODY_BYTES,
): Promise<object> {
  const bytes = await readBody(request, response, maxBytes);
  if (bytes.length === 0) return {};
  assertJson(request.headers);
  return parseJsonObject(bytes);
}

/** Asserts that a request has no body. @throws TRPCError 400 */
export function assertNoBody(request: IncomingMessage): void {
  if (hasBody(request)) throw badRequest('Request body: not expected with this method');
}

/** Returns the JSON object in a body. @throws TRPCError 400, also for JSON that JSON.parse would change */
function parseJsonObject(bytes: Buffer): object {
  const text = decodeJson(bytes);
  const value = parseJson(text, MALFORMED_BODY);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw badRequest('Request body must be a JSON object');
  }
  const [problem] = findJsonProblems(text);
  if (problem !== undefined) throw badRequest(describeProblem(problem));
  return value;
}

/** Returns the text of a body. @throws TRPCError 400 for bytes that are not UTF-8 */
export function decodeJson(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw badRequest(MALFORMED_BODY, cause);
  }
}

/** Returns the value of a JSON text. @throws TRPCError 400 with this message */
export function parseJson(text: string, message: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw badRequest(message, cause);
  }
}

export function describeProblem({ path, message }: JsonProblem): string {
  return path.length === 0 ? message : `${path.join('.').slice(0, 200)}: ${message}`;
}

/** Asserts that the headers declare uncompressed JSON in UTF-8. @throws TRPCError 415 */
export function assertJson(headers: IncomingMessage['headers']): void {
  const [type = '', ...parameters] = (headers['content-type'] ?? '').split(';');
  if (type.trim().toLowerCase() !== 'application/json') {
    throw unsupportedMediaType('content-type application/json');
  }
  const charset = parameters.map((text) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/i.exec(text)?.[1]);
  // ASCII is a subset of UTF-8.
  if (charset.some((name) => name !== undefined && !/^(utf-?8|us-ascii)$/i.test(name))) {
    throw unsupportedMediaType('charset utf-8');
  }
  assertUncompressed(headers);
}

/** Asserts that the body is not compressed. @throws TRPCError 415 */
export function assertUncompressed(headers: IncomingMessage['headers']): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    throw unsupportedMediaType('a body without content-encoding');
  }
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * Returns a request's body, unparsed; empty if there is no body.
 * @throws TRPCError 413; CLIENT_CLOSED_REQUEST if the client disconnected
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes = MAX_BODY_BYTES,
): Promise<Buffer> {
  // A request without a body is complete, even if its client has disconnected.
  if (!hasBody(request)) return Buffer.alloc(0);
  // A destroyed request emits no more events.
  if (request.destroyed) throw new TRPCError({ code: 'CLIENT_CLOSED_REQUEST' });
  if (Number(request.headers['content-length']) > maxBytes) throw bodyTooLarge();
  if (request.headers.expect !== undefined) response.writeContinue();
  const chunks: Buffer[] = [];
  let size = 0;
  // An early exit from `for await` would destroy the request, and with it the response.
  await new Promise<void>((resolve, reject) => {
    request
      .on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxBytes) reject(bodyTooLarge());
        else chunks.push(chunk);
      })
      .on('end', resolve)
      .on('error', reject)
      .on('aborted', () => reject(new TRPCError({ code: 'CLIENT_CLOSED_REQUEST' })));
  });
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks);
}
