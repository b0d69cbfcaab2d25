import { TRPCClientError } from '@trpc/client';
import { expect, test } from 'vitest';
import { toTrpcError } from '../../src/api/errors.ts';
import { errorShape } from '../../src/api/trpc.ts';
import { isDefiniteRefusal, retryAfterMs, SessionError } from '../../src/console/api/errors.ts';
import { missingScope, rateLimited, tooManyMatches, unauthorized } from '../../src/domain/errors.ts';

/** Returns an error as the client of tRPC throws it. */
function clientError(error: Error): unknown {
  const sent = toTrpcError(error);
  if (sent === null) throw error;
  const shape = errorShape(sent, { procedure: 'events.stream', type: 'subscription' });
  return TRPCClientError.from({ error: shape });
}

test('the time of the next attempt is that of the 429', () => {
  expect(retryAfterMs(clientError(rateLimited('calls', 42)))).toBe(42_000);
  expect(retryAfterMs(clientError(rateLimited('anonymous', 1)))).toBe(1_000);
  expect(retryAfterMs(new SessionError(429, 'Too Many Requests'))).toBe(10_000);
});

test('other errors have no time of the next attempt', () => {
  expect(retryAfterMs(clientError(unauthorized()))).toBeNull();
  expect(retryAfterMs(new TypeError('retry after 5 s'))).toBeNull();
  expect(retryAfterMs(null)).toBeNull();
});

test('only a refusal after the check of the session proves that no earlier attempt has run', () => {
  expect(isDefiniteRefusal(clientError(tooManyMatches(9, 5)))).toBe(true);
  for (const error of [unauthorized(), missingScope('calls:stop'), rateLimited('calls', 1)])
    expect(isDefiniteRefusal(clientError(error))).toBe(false);
  expect(isDefiniteRefusal(new TypeError('no response'))).toBe(false);
});
