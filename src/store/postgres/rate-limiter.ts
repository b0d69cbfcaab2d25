import { RateLimiterMemory, RateLimiterPostgres } from 'rate-limiter-flexible';
import { StoreBusyError } from '../../domain/errors.ts';
import { RATE_LIMIT_WINDOW_S, type RateLimitPolicy } from '../../domain/rate-limit.ts';
import type { RateLimiter } from '../../ports/rate-limiter.ts';
import type { Clock, Timers } from '../../ports/system.ts';
import { limitKeys } from '../rate-limiter.ts';
import { combineCounts } from './combine-counts.ts';
import { prepareSql, type Session, type Value } from './session.ts';

/** A slow database must not delay cancels: the request is then counted in memory. */
const TIMEOUT_MS = 250;
/** After a failure, requests are counted in memory for this long. */
const PAUSE_MS = 1_000;
/** Statements at once, so that requests without a valid key leave connections for cancels. */
const MAX_STATEMENTS = 2;
const CLEAR_INTERVAL_MS = 60_000;

interface PostgresRateLimiters {
  create(policy: RateLimitPolicy): RateLimiter;
  close(): void;
}

interface Query {
  readonly name?: string;
  readonly text: string;
  readonly values: readonly Value[];
}

const deleteExpired = prepareSql('DELETE FROM rate_limits WHERE expire < $1');

/**
 * Creates rate limiters whose counts are in Postgres. They count in the memory of this process while the database cannot be
 * used. The clocks of the processes date the windows.
 */
export function createPostgresRateLimiters(
  session: Session,
  { clock, timers }: { clock: Clock; timers: Timers },
): PostgresRateLimiters {
  let pausedUntilMs = 0;

  /** The connection of the library. */
  const storeClient = {
    async query({ name = '', text, values }: Query) {
      if (performance.now() < pausedUntilMs) throw new StoreBusyError();
      try {
        return await inTime(session.execute({ name, text }, values), timers);
      } catch (error) {
        pausedUntilMs = performance.now() + PAUSE_MS;
        throw error;
      }
    },
  };
  const cancelClearing = timers.every(CLEAR_INTERVAL_MS, () => {
    // The next run deletes what this run left.
    deleteExpired.run(session, [clock.now()]).catch(() => {});
  });

  return {
    create(policy) {
      // hangup compares the counts with the quota. The library's own quota would only reject with the same counts.
      const options = { points: 0, duration: RATE_LIMIT_WINDOW_S, keyPrefix: policy };
      const counts = new RateLimiterPostgres({
        ...options,
        storeClient,
        storeType: 'client',
        tableName: 'rate_limits',
        tableCreated: true,
        clearExpiredByTimeout: false,
        insuranceLimiter: new RateLimiterMemory(options),
      });
      const count = combineCounts((key, requests) => counts.penalty(key, requests), MAX_STATEMENTS);
      return limitKeys({ count, has: async (key) => (await counts.get(key)) !== null, clock });
    },
    close: cancelClearing,
  };
}

async function inTime<T>(result: Promise<T>, timers: Timers): Promise<T> {
  const late = Promise.withResolvers<never>();
  const cancelTimer = timers.after(TIMEOUT_MS, () => late.reject(new StoreBusyError()));
  try {
    return await Promise.race([result, late.promise]);
  } finally {
    cancelTimer();
  }
}
