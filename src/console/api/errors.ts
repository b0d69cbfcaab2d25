import { isTRPCClientError, type TRPCClientError } from '@trpc/client';
import type { AppRouter } from '../../api/router.ts';
import { texts } from '../texts.ts';

/** For the 429 of a proxy. */
const DEFAULT_RETRY_AFTER_MS = 10_000;

/** A response of the session endpoint that is not a success. */
export class SessionError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const isClientError = (error: unknown): error is TRPCClientError<AppRouter> => isTRPCClientError(error);

/** Returns the HTTP status of an error; null if no response arrived. */
export function statusOf(error: unknown): number | null {
  if (error instanceof SessionError) return error.status;
  return isClientError(error) ? (error.data?.httpStatus ?? null) : null;
}

/** True if the same request can succeed later: no response arrived, or hangup was not able to do its work. */
export function isRetryable(error: unknown): boolean {
  const status = statusOf(error);
  return status === null || status === 429 || status >= 500;
}

/**
 * True if hangup has not done a request, nor an earlier attempt with the same Idempotency-Key. A 401 or 403 proves nothing
 * about an earlier attempt, because hangup checks the session first.
 */
export function isDefiniteRefusal(error: unknown): boolean {
  const status = statusOf(error);
  return !isRetryable(error) && status !== 401 && status !== 403;
}

/**
 * Returns how long hangup refuses further requests; null for another error than 429. Reads the message, because a page cannot
 * read the header Retry-After of an event stream.
 */
export function retryAfterMs(error: unknown): number | null {
  if (statusOf(error) !== 429) return null;
  const [, seconds] = /retry after (\d+) s/.exec(messageOf(error)) ?? [];
  return seconds === undefined ? DEFAULT_RETRY_AFTER_MS : Number(seconds) * 1_000;
}

/** Returns an error's text for the reader: the server's message, or the cause of a missing response. */
export function messageOf(error: unknown): string {
  const status = statusOf(error);
  if (status === null) return texts.errors.unreachable;
  if (status === 401) return texts.errors.signedOut;
  return error instanceof Error ? error.message : String(error);
}
