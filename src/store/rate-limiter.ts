import { RateLimiterMemory } from 'rate-limiter-flexible';
import { RATE_LIMIT_WINDOW_S } from '../domain/rate-limit.ts';
import type { RateLimiter } from '../ports/rate-limiter.ts';
import type { Clock } from '../ports/system.ts';

/** About 30 MB. An IPv6 network has more addresses than a process has memory. */
const MAX_KEYS = 65_536;

/** The keys beyond the maximum share this key. No address and no id of an API key is equal to it. */
const OTHER_KEYS = 'other';

/**
 * Creates a rate limiter that counts in the memory of this process. A restart resets the counts.
 * @param maxKeys the number of new keys per window that get counts of their own
 */
export function createRateLimiter({ clock, maxKeys }: { clock: Clock; maxKeys?: number }): RateLimiter {
  // hangup compares the counts with the quota. The library's own quota would only reject with the same counts.
  const counts = new RateLimiterMemory({ points: 0, duration: RATE_LIMIT_WINDOW_S });
  return limitKeys({
    // `penalty` counts like `consume`, and does not reject after the quota.
    count: (key) => counts.penalty(key),
    has: async (key) => (await counts.get(key)) !== null,
    clock,
    ...(maxKeys !== undefined && { maxKeys }),
  });
}

/**
 * Returns a rate limiter with a bounded number of new keys per window.
 * @param count counts a request of a key
 * @param has whether the key has a window
 */
export function limitKeys({
  count,
  has,
  clock,
  maxKeys = MAX_KEYS,
}: {
  count: (key: string) => Promise<{
    readonly consumedPoints: number;
    readonly msBeforeNext: number;
    readonly isFirstInDuration: boolean;
  }>;
  has: (key: string) => Promise<boolean>;
  clock: Clock;
  maxKeys?: number;
}): RateLimiter {
  let newKeys = 0;
  let newKeysSince = clock.now();

  const isFull = () => {
    if (Math.abs(clock.now() - newKeysSince) > RATE_LIMIT_WINDOW_S * 1000) {
      newKeys = 0;
      newKeysSince = clock.now();
    }
    return newKeys >= maxKeys;
  };

  return {
    async count(key) {
      const isOther = isFull() && !(await has(key));
      const counted = await count(isOther ? OTHER_KEYS : key);
      if (counted.isFirstInDuration) newKeys += 1;
      return { used: counted.consumedPoints, endsInMs: counted.msBeforeNext };
    },
  };
}
