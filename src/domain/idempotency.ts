import type { Timestamp } from './time.ts';

/** A request with an Idempotency-Key. */
export interface IdempotentRequest extends RequestKey {
  readonly organizationId: string;
}

/** The Idempotency-Key of a request. */
export interface RequestKey {
  readonly key: string;
  /** Differs between two requests under the same key. */
  readonly fingerprint: string;
  /** For this long a repeated request gets the first response. */
  readonly ttlMs: number;
}

/** The first response under a key. */
export interface IdempotentResponse
  extends Pick<IdempotentRequest, 'organizationId' | 'key' | 'fingerprint'> {
  readonly createdAt: Timestamp;
  /** The result that the response was made from, as JSON. */
  readonly outcome: string;
}

/** The result of a request under a key that another request used. */
export const KEY_REUSED = { kind: 'idempotency_key_reused' } as const;
export type KeyReused = typeof KEY_REUSED;

/** new: the request has to run. reused: another request has the key. replay: the request ran before, with this outcome. */
export type IdempotencyCheck =
  | { readonly kind: 'new' }
  | { readonly kind: 'reused' }
  | { readonly kind: 'replay'; readonly outcome: string };

/** Returns whether a request has to run, by the first response under its key. */
export function checkIdempotency(
  request: IdempotentRequest,
  response: IdempotentResponse | null,
  now: Timestamp,
): IdempotencyCheck {
  if (response === null || response.createdAt < now - request.ttlMs) return { kind: 'new' };
  if (response.fingerprint !== request.fingerprint) return { kind: 'reused' };
  return { kind: 'replay', outcome: response.outcome };
}
