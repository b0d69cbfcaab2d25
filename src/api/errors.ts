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
  idempotency_key_reused: 'UNPROCESSABLE_CONTENT',
};

/** As tRPC carries it, with its HTTP status; null for a fault. */
export function toTrpcError(error: unknown): TRPCError | null {
  if (error instanceof StoreBusyError) {
    return new TRPCError({ code: 'SERVICE_UNAVAILABLE', message: 'Service unavailable', cause: error });
  }
  if (!(error instanceof RequestError)) return null;
  return new TRPCError({ code: CODES[error.kind], message: error.message, cause: error });
}

export interface PublicError {
  /** The HTTP status, also over tRPC. */
  readonly code: number;
  readonly message: string;
}

/** What a client may know of an error, the same over REST and tRPC. Of a fault of ours: nothing. */
export function publicError(thrown: unknown): PublicError {
  const error = getTRPCErrorFromUnknown(thrown);
  const { cause } = error;
  const known = toTrpcError(cause);
  if (known !== null) return { code: getHTTPStatusCodeFromError(known), message: known.message };
  const code = getHTTPStatusCodeFromError(error);
  // tRPC's own words name the procedure and the type.
  if (code === 405) return { code, message: 'Method not allowed' };
  if (code >= 500) return { code, message: 'Internal server error' };
  return { code, message: cause instanceof z.core.$ZodError ? describeIssue(cause) : error.message };
}

/** The first thing that is wrong, by the name of the parameter. */
function describeIssue(error: z.core.$ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'Bad request';
  const path = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return `${path === '' ? '' : `${path}: `}${unrecognized(issue.keys)}`;
  }
  return `${path || 'input'}: ${issue.message}`.slice(0, 500);
}

export function badRequest(message: string): TRPCError {
  return new TRPCError({ code: 'BAD_REQUEST', message });
}

/** The message for names that an input does not have. */
export function unrecognized(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 64)));
  return `Unrecognized key: ${shown.join(', ')}`;
}
