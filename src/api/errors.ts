import { getTRPCErrorFromUnknown, TRPCError } from '@trpc/server';
import { getHTTPStatusCodeFromError } from '@trpc/server/http';
import { z } from 'zod';
import { RequestError, type RequestErrorKind, StoreBusyError } from '../domain/errors.ts';

const CODES: Record<RequestErrorKind, TRPCError['code']> = {
  unauthorized: 'UNAUTHORIZED',
  forbidden: 'FORBIDDEN',
  not_found: 'NOT_FOUND',
  not_cancellable: 'BAD_REQUEST',
  conflict: 'CONFLICT',
  precondition_failed: 'PRECONDITION_FAILED',
  idempotency_key_reused: 'UNPROCESSABLE_CONTENT',
  rate_limited: 'TOO_MANY_REQUESTS',
};

/** Returns the error as tRPC sends it, with its HTTP status; null for an unexpected error. */
export function toTrpcError(error: unknown): TRPCError | null {
  if (error instanceof StoreBusyError) {
    return new TRPCError({ code: 'SERVICE_UNAVAILABLE', message: 'Service unavailable', cause: error });
  }
  if (!(error instanceof RequestError)) return null;
  return new TRPCError({ code: CODES[error.kind], message: error.message, cause: error });
}

/** The refusals that are stored under an Idempotency-Key. After any other error, a repeated request runs. */
const REPLAYED_KINDS: readonly RequestErrorKind[] = ['not_cancellable', 'conflict', 'precondition_failed'];

/** Returns whether a request that repeats an Idempotency-Key gets the error again. */
export function isReplayed(error: Error): boolean {
  return error instanceof RequestError && REPLAYED_KINDS.includes(error.kind);
}

export interface PublicError {
  /** The HTTP status, also over tRPC. */
  readonly code: number;
  readonly message: string;
}

export const NOT_FOUND: PublicError = { code: 404, message: 'Not found' };
export const METHOD_NOT_ALLOWED: PublicError = { code: 405, message: 'Method not allowed' };

/** Returns the error that a client gets, the same over REST and tRPC. An unexpected error shows no detail. */
export function publicError(thrown: unknown): PublicError {
  const error = getTRPCErrorFromUnknown(thrown);
  const { cause } = error;
  const expected = toTrpcError(cause);
  if (expected !== null) return { code: getHTTPStatusCodeFromError(expected), message: expected.message };
  const code = getHTTPStatusCodeFromError(error);
  // tRPC's own message names the procedure and its type.
  if (code === METHOD_NOT_ALLOWED.code) return METHOD_NOT_ALLOWED;
  if (code >= 500) return { code, message: 'Internal server error' };
  return { code, message: cause instanceof z.core.$ZodError ? formatFirstIssue(cause) : error.message };
}

/** Returns the first problem of an input, with the name of the parameter. */
export function formatFirstIssue(error: z.core.$ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'Bad request';
  const path = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return `${path === '' ? '' : `${path}: `}${unrecognizedKeys(issue.keys)}`;
  }
  return `${path || 'input'}: ${issue.message}`.slice(0, 500);
}

export function badRequest(message: string, cause?: unknown): TRPCError {
  return new TRPCError({ code: 'BAD_REQUEST', message, cause });
}

/** Returns the error for an input that does not match the schema. */
export function invalidInput(schema: z.ZodType, input: unknown): TRPCError {
  return new TRPCError({ code: 'BAD_REQUEST', cause: schema.safeParse(input).error });
}

/** Returns the message for names that an input does not have. */
export function unrecognizedKeys(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 64)));
  return `Unrecognized key: ${shown.join(', ')}`;
}

export function bodyTooLarge(): TRPCError {
  return new TRPCError({ code: 'PAYLOAD_TOO_LARGE', message: 'Request body too large' });
}

export function unsupportedMediaType(expected: string): TRPCError {
  return new TRPCError({
    code: 'UNSUPPORTED_MEDIA_TYPE',
    message: `Unsupported media type: expected ${expected}`,
  });
}
