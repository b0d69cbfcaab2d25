import { hash } from 'node:crypto';
import type { ApiKey } from '../domain/api-key.ts';
import type { IdempotentRequest } from '../domain/idempotency.ts';

/** A request that is repeated within this time gets the first response. */
export const IDEMPOTENCY_TTL_MS = 24 * 3_600_000;

/** The part of a request to an operation that a client may repeat. */
export interface RepeatableRequest {
  readonly apiKey: ApiKey;
  readonly idempotencyKey: string | null;
  /** Called when the result is that of an earlier request under the same key, also before an error is thrown. */
  readonly markReplayed: () => void;
}

/** Returns the Idempotency-Key for the store; null for a request without a key. */
export function idempotencyOf(
  { apiKey: { organizationId }, idempotencyKey: key }: Pick<RepeatableRequest, 'apiKey' | 'idempotencyKey'>,
  fingerprint: string,
): IdempotentRequest | null {
  return key === null ? null : { organizationId, key, fingerprint, ttlMs: IDEMPOTENCY_TTL_MS };
}

/**
 * Returns a text that differs between two requests. The order of names makes no difference, and null is an absent input.
 * @param procedure the name in tRPC, such as `calls.create`
 */
export function fingerprintOf(procedure: string, input: Readonly<Record<string, unknown>>): string {
  const present = Object.entries(input).filter(([, value]) => value !== null && value !== undefined);
  return hash('sha256', canonicalJson([procedure, Object.fromEntries(present)]));
}

/** Returns JSON with the names of each object in order. */
function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}
