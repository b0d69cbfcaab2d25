import type { Scope } from './api-key.ts';
import type { CallStatus } from './call-status.ts';
import type { RateLimitPolicy } from './rate-limit.ts';

export type RequestErrorKind =
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'not_cancellable'
  | 'conflict'
  | 'precondition_failed'
  | 'idempotency_key_reused'
  | 'rate_limited';

/** A rejected request that changed nothing. The message is public and part of the HTTP contract. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly kind: RequestErrorKind;

  constructor(kind: RequestErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/**
 * The database did not accept a write in time: another process holds the lock, the disk stalls, or too many writes wait.
 * Nothing changed, unless the commit had begun: that write may still complete after this error.
 */
export class StoreBusyError extends Error {
  override readonly name = 'StoreBusyError';

  constructor(message = 'the database did not accept a write in time', options?: ErrorOptions) {
    super(message, options);
  }
}

/** Returns the message of a thrown value, which need not be an Error. */
export function errorMessage(error: unknown): string {
  // A connection to a host with several addresses fails with an error per address, and without a message of its own.
  if (error instanceof AggregateError && error.message === '') {
    return [...new Set(error.errors.map(errorMessage))].join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}

/** Returns the code of an error of Node.js or SQLite, such as `ENOENT`; empty for other values. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

export const unauthorized = () => new RequestError('unauthorized', 'Unauthorized');
export const sessionOfOtherKey = () =>
  new RequestError('unauthorized', 'Unauthorized - the session belongs to another API key');
export const callNotFound = () => new RequestError('not_found', 'Call not found');
export const callOfOtherOrganization = () =>
  new RequestError('forbidden', 'Access denied - call belongs to different organization');
export const missingScope = (scope: Scope) =>
  new RequestError('forbidden', `Access denied - API key lacks scope: ${scope}`);
export const notCancellable = (status: CallStatus) =>
  new RequestError('not_cancellable', `Cannot cancel call with status: ${status}`);
export const callIdTaken = () => new RequestError('conflict', 'Call id is already taken');
export const roomNameTaken = () =>
  new RequestError(
    'conflict',
    'Room name is in use: its earlier call is still live, or the deletion of its room is not complete',
  );
export const callHeld = (cancellationId: string) =>
  new RequestError('conflict', `Call is held by cancellation ${cancellationId}`);
export const apiKeyNotFound = () => new RequestError('not_found', 'API key not found');
export const adoptionPrefixNotFound = () => new RequestError('not_found', 'Adoption prefix not found');
export const adoptionPrefixTaken = () =>
  new RequestError('conflict', 'Adoption prefix is already taken, or begins with a prefix that is taken');
export const cancellationNotFound = () => new RequestError('not_found', 'Cancellation not found');
export const roomDeletionNotFound = () => new RequestError('not_found', 'Room deletion not found');
export const roomAlreadyDeleted = () => new RequestError('conflict', 'Room is already deleted');
export const tooManyMatches = (matched: number, expectedAtMost: number) =>
  new RequestError(
    'precondition_failed',
    `Matches ${matched} calls, more than expectedAtMost: ${expectedAtMost}`,
  );
const LIMITED_REQUESTS: Readonly<Record<RateLimitPolicy, string>> = {
  calls: 'Too many requests with this API key',
  cancels: 'Too many cancels with this API key',
  anonymous: 'Too many requests without a valid API key from this address',
};
export const rateLimited = (policy: RateLimitPolicy, retryAfterS: number) =>
  new RequestError('rate_limited', `${LIMITED_REQUESTS[policy]}: retry after ${retryAfterS} s`);
export const idempotencyKeyReused = () =>
  new RequestError('idempotency_key_reused', 'Idempotency-Key was already used for another request');
