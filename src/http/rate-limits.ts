import type { IncomingHttpHeaders } from 'node:http';
import type { ApiKey } from '../domain/api-key.ts';
import { rateLimited } from '../domain/errors.ts';
import {
  RATE_LIMIT_WINDOW_S,
  type RateLimitPolicy,
  type RateLimitStatus,
  rateLimitStatus,
} from '../domain/rate-limit.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { RateLimiter } from '../ports/rate-limiter.ts';
import { networkOf } from './credentials.ts';
import type { HttpRequest } from './request.ts';

/** Requests per window of one key or address; 0: no limit. */
export type RateLimitQuotas = Readonly<Record<RateLimitPolicy, number>>;

/** Counts requests. Both methods record the state of the budget for the response's headers. */
export interface RateLimits {
  /** Counts a call of a key. @param policy null: the call has no limit @throws RequestError 429 */
  countCall(request: HttpRequest, apiKey: ApiKey, policy: RateLimitPolicy | null): Promise<void> | undefined;
  /** Counts a request without a valid credential, by its network. @throws RequestError 429 */
  countAnonymous(request: HttpRequest): Promise<void> | undefined;
}

export interface RateLimitOptions {
  readonly quotas: RateLimitQuotas;
  /** A limiter for each policy, so that many addresses take no place from API keys. */
  readonly limiters: Readonly<Record<RateLimitPolicy, RateLimiter>>;
  readonly resolveAddress: (
    peerAddress: string | undefined,
    headers: IncomingHttpHeaders,
  ) => string | undefined;
  readonly metrics: Metrics;
}

export function createRateLimits({
  quotas,
  limiters,
  resolveAddress,
  metrics,
}: RateLimitOptions): RateLimits {
  async function count(request: HttpRequest, policy: RateLimitPolicy, key: string): Promise<void> {
    const status = rateLimitStatus(policy, quotas[policy], await limiters[policy].count(key));
    const others = request.rateLimits.filter((other) => other.policy !== policy);
    request.rateLimits = [...others, status];
    if (!status.isExceeded) return;
    metrics.rateLimited(policy);
    throw rateLimited(policy, status.resetS);
  }

  return {
    countCall: (request, apiKey, policy) =>
      policy === null || quotas[policy] === 0 ? undefined : count(request, policy, apiKey.id),
    countAnonymous(request) {
      if (quotas.anonymous === 0) return undefined;
      const address = resolveAddress(request.peerAddress, request.headers);
      return count(request, 'anonymous', address === undefined ? 'unknown' : networkOf(address));
    },
  };
}

/** Appends the headers of draft-ietf-httpapi-ratelimit-headers-11 to a flat list of names and values. */
export function pushRateLimitHeaders(fields: string[], limits: readonly RateLimitStatus[]): void {
  let policies = '';
  let budgets = '';
  let waitS = 0;
  for (const { policy, quota, remaining, resetS, isExceeded } of limits) {
    const separator = policies === '' ? '' : ', ';
    policies += `${separator}"${policy}";q=${quota};w=${RATE_LIMIT_WINDOW_S}`;
    budgets += `${separator}"${policy}";r=${remaining};t=${resetS}`;
    if (isExceeded) waitS = Math.max(waitS, resetS);
  }
  fields.push('ratelimit-policy', policies, 'ratelimit', budgets);
  if (waitS > 0) fields.push('retry-after', String(waitS));
}
