import type { RateLimitWindow } from '../domain/rate-limit.ts';

/** Counts the requests of one policy. Several processes can share the counts. */
export interface RateLimiter {
  /** Counts a request. @param key an API key's id, or an address */
  count(key: string): Promise<RateLimitWindow>;
}
