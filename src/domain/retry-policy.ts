export interface RetryPolicy {
  /** Delay after the first failed attempt; it doubles with each further attempt. */
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
  /** Counted from the creation of the task; no attempt starts later. */
  readonly maxAgeMs: number;
}

/** Spreads the retries of tasks that failed together. */
const JITTER = 0.2;

/**
 * Returns the delay after attempt number `attempt` (the first is 1) failed; null when the task would be too old then.
 * Jitter shortens the delay by up to a fifth, so `maxDelayMs` is the upper bound.
 * @param random in [0, 1)
 */
export function retryDelayMs(
  policy: RetryPolicy,
  { ageMs, attempt, random }: { ageMs: number; attempt: number; random: number },
): number | null {
  const exponential = policy.initialDelayMs * 2 ** Math.min(attempt - 1, 30);
  const delayMs = Math.round(Math.min(policy.maxDelayMs, exponential) * (1 - JITTER * random));
  return ageMs + delayMs > policy.maxAgeMs ? null : delayMs;
}
