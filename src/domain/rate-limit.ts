export const RATE_LIMIT_POLICIES = ['calls', 'cancels', 'anonymous'] as const;
/** A budget of requests: of an API key for cancels and for other calls, or of an address without a valid key. */
export type RateLimitPolicy = (typeof RATE_LIMIT_POLICIES)[number];

/** The length of each window. A window starts with the first request after the last window. */
export const RATE_LIMIT_WINDOW_S = 60;

/** The requests of one key or address in its current window. */
export interface RateLimitWindow {
  /** Includes refused requests. */
  readonly used: number;
  readonly endsInMs: number;
}

/** The state of a budget after a request. */
export interface RateLimitStatus {
  readonly policy: RateLimitPolicy;
  readonly quota: number;
  readonly remaining: number;
  /** Whole seconds until the complete quota is available again, at least 1. */
  readonly resetS: number;
  readonly isExceeded: boolean;
}

/** Returns the state of a budget from its window. */
export function rateLimitStatus(
  policy: RateLimitPolicy,
  quota: number,
  { used, endsInMs }: RateLimitWindow,
): RateLimitStatus {
  return {
    policy,
    quota,
    remaining: Math.max(0, quota - used),
    // A clock that was set back would make the window longer.
    resetS: Math.min(RATE_LIMIT_WINDOW_S, Math.max(1, Math.ceil(endsInMs / 1000))),
    isExceeded: used > quota,
  };
}
