import type { ServerResponse } from 'node:http';
import { badRequest } from '../api/errors.ts';
import { parseIdempotencyKey, REPLAYED_HEADER } from '../api/idempotency-key.ts';
import type { HttpRequest } from './request.ts';

/** Returns the key in the Idempotency-Key header; undefined without the header. @throws TRPCError 400 */
export function readIdempotencyKey(request: HttpRequest): string | undefined {
  if (!hasIdempotencyKey(request)) return undefined;
  // `headers` has repeated headers as one value with commas, which a key may contain.
  const [header = '', ...others] = request.headersDistinct['idempotency-key'] ?? [];
  if (others.length > 0) throw badRequest('Idempotency-Key: expected once');
  return parseIdempotencyKey(header);
}

export function hasIdempotencyKey({ headers }: HttpRequest): boolean {
  return headers['idempotency-key'] !== undefined;
}

/** Marks a response as a replay. A response whose headers are sent stays unmarked. */
export function markReplayed(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader(REPLAYED_HEADER, 'true');
}
