import { describe, expect, test } from 'vitest';
import { checkIdempotency, type IdempotentRequest } from '../../src/domain/idempotency.ts';

const REQUEST: IdempotentRequest = { organizationId: 'org', key: 'k', fingerprint: 'f', ttlMs: 1_000 };
const RESPONSE = {
  organizationId: 'org',
  key: 'k',
  fingerprint: 'f',
  createdAt: 5_000,
  outcome: '{"kind":"cancelled"}',
};

test('a request without a response under its key is new', () => {
  expect(checkIdempotency(REQUEST, null, 5_000)).toEqual({ kind: 'new' });
});

describe('a request with the fingerprint of the response', () => {
  test.each([5_000, 5_999, 6_000])('is a replay at %i', (now) => {
    expect(checkIdempotency(REQUEST, RESPONSE, now)).toEqual({ kind: 'replay', outcome: RESPONSE.outcome });
  });

  test('is new after the response has expired', () => {
    expect(checkIdempotency(REQUEST, RESPONSE, 6_001)).toEqual({ kind: 'new' });
  });

  test('is a replay when the clock was set back', () => {
    expect(checkIdempotency(REQUEST, RESPONSE, 1)).toMatchObject({ kind: 'replay' });
  });
});

describe('a request with another fingerprint', () => {
  const another = { ...REQUEST, fingerprint: 'g' };

  test.each([1, 5_000, 6_000])('is a reuse of the key at %i', (now) => {
    expect(checkIdempotency(another, RESPONSE, now)).toEqual({ kind: 'reused' });
  });

  test('is new after the response has expired', () => {
    expect(checkIdempotency(another, RESPONSE, 6_001)).toEqual({ kind: 'new' });
  });
});
