import type { IncomingMessage, ServerResponse } from 'node:http';
import { TRPCError } from '@trpc/server';

/** The largest request body, in bytes: 1 MiB. */
export const MAX_BODY_BYTES = 1024 * 1024;

/**
 * The JSON object in a request's body. Read only when this is called: a request without a valid key never
 * gets this far.
 * @throws TRPCError 400, 413, 415
 */
export async function readJsonObject(request: IncomingMessage, response: ServerResponse): Promise<object> {
  assertJson(request);
  const bytes = await readBody(request, response);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TRPCError({ code: 'BAD_REQUEST', message: 'Malformed JSON body', cause });
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new TRPCError({ code: 'BAD_REQUEST', message: 'Request body must be a JSON object' });
  }
  return value;
}

function assertJson({ headers }: IncomingMessage): void {
  const [type = ''] = (headers['content-type'] ?? '').split(';', 1);
  if (type.trim().toLowerCase() !== 'application/json') {
    throw unsupported('Unsupported media type: expected content-type application/json');
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

/**
 * A request's body as it was sent.
 * @throws TRPCError 413
 */
export async function readBody(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
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
