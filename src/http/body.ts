import type { IncomingMessage, ServerResponse } from 'node:http';
import { TRPCError } from '@trpc/server';
import { badRequest } from '../api/errors.ts';
import { findJsonProblems, type JsonProblem } from './json.ts';

export const MALFORMED_BODY = 'Malformed JSON body';

/** The largest request body, in bytes: 1 MiB. */
export const MAX_BODY_BYTES = 1024 * 1024;

/**
 * The JSON object in a request's body. Read only when this is called: a request without a valid key never
 * gets this far.
 * @throws TRPCError 400, 413, 415
 */
export async function readJsonObject(request: IncomingMessage, response: ServerResponse): Promise<object> {
  assertJson(request.headers);
  return parseObject(await readBody(request, response));
}

/**
 * The same; an empty object where there is no body.
 * @throws TRPCError 400, 413, 415
 */
export async function readOptionalObject(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<object> {
  const bytes = await readBody(request, response);
  if (bytes.length === 0) return {};
  assertJson(request.headers);
  return parseObject(bytes);
}

/** @throws TRPCError 400 */
export function assertNoBody(request: IncomingMessage): void {
  if (hasBody(request)) throw badRequest('Request body: not expected with this method');
}

function parseObject(bytes: Buffer): object {
  const text = decodeJson(bytes);
  const value = parseJson(text, MALFORMED_BODY);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw badRequest('Request body must be a JSON object');
  }
  const [problem] = findJsonProblems(text);
  if (problem !== undefined) throw badRequest(describeProblem(problem));
  return value;
}

/** @throws TRPCError 400 for bytes that are not UTF-8 */
export function decodeJson(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw malformed(MALFORMED_BODY, cause);
  }
}

/** @throws TRPCError 400 with this message */
export function parseJson(text: string, message: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed(message, cause);
  }
}

export function describeProblem({ path, message }: JsonProblem): string {
  return path.length === 0 ? message : `${path.join('.').slice(0, 200)}: ${message}`;
}

/** @throws TRPCError 415 for a body that is not JSON in UTF-8 by its own headers */
export function assertJson(headers: IncomingMessage['headers']): void {
  const [type = '', ...parameters] = (headers['content-type'] ?? '').split(';');
  if (type.trim().toLowerCase() !== 'application/json') {
    throw unsupported('Unsupported media type: expected content-type application/json');
  }
  const charset = parameters.map((text) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/i.exec(text)?.[1]);
  // ASCII is a part of UTF-8.
  if (charset.some((name) => name !== undefined && !/^(utf-?8|us-ascii)$/i.test(name))) {
    throw unsupported('Unsupported media type: expected charset utf-8');
  }
  assertPlain(headers);
}

/** @throws TRPCError 415 for a compressed body */
export function assertPlain(headers: IncomingMessage['headers']): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    throw unsupported('Unsupported media type: expected a body without content-encoding');
  }
}

const unsupported = (message: string) => new TRPCError({ code: 'UNSUPPORTED_MEDIA_TYPE', message });
const tooLarge = () => new TRPCError({ code: 'PAYLOAD_TOO_LARGE', message: 'Request body too large' });
const malformed = (message: string, cause: unknown) => new TRPCError({ code: 'BAD_REQUEST', message, cause });

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * A request's body as it was sent; empty where there is none.
 * @throws TRPCError 413
 */
export async function readBody(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
  // At once: a client that is gone does not stop what it began.
  if (!hasBody(request)) return Buffer.alloc(0);
  // No event comes after this any more.
  if (request.destroyed) throw new TRPCError({ code: 'CLIENT_CLOSED_REQUEST' });
  if (Number(request.headers['content-length']) > MAX_BODY_BYTES) throw tooLarge();
  if (request.headers.expect !== undefined) response.writeContinue();
  const chunks: Buffer[] = [];
  let size = 0;
  // By events and not `for await`, which destroys the request, and with it the answer, when it is left early.
  await new Promise<void>((resolve, reject) => {
    request
      .on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_BODY_BYTES) reject(tooLarge());
        else chunks.push(chunk);
      })
      .once('end', resolve)
      .once('error', reject)
      .once('aborted', () => reject(new TRPCError({ code: 'CLIENT_CLOSED_REQUEST' })));
  });
  return Buffer.concat(chunks);
}
