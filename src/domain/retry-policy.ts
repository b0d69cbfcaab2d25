import type { Timestamp } from './time.ts';

export interface RetryPolicy {
  /** Wait after the first failed attempt; doubles with each attempt. */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** Counted from the creation of the task. After this age, a failed attempt is the last one. */
  readonly maxAgeMs: number;
}

const JITTER = 0.2;

/**
 * When to try again after attempt number `attempt` (1 for the first) failed; null when it is too late.
 * Jitter takes off up to a fifth, so that a thousand rooms that failed together do not come back together,
 * and `maxDelayMs` stays the upper bound.
 * @param random in [0, 1)
 */
export function nextAttemptAt(
  policy: RetryPolicy,
  { now, since, attempt, random }: { now: Timestamp; since: Timestamp; attempt: number; random: number },
): Timestamp | null {
  const exponential = policy.firstDelayMs * 2 ** Math.min(attempt - 1, 30);
  const delayMs = Math.min(policy.maxDelayMs, exponential) * (1 - JITTER * random);
  const at = now + Math.round(delayMs);
  return at - since > policy.maxAgeMs ? null : at;
}
