import type { RateLimitPolicy } from '../domain/rate-limit.ts';
import type { ConnectionCounts } from './diagnostics.ts';
import type { RateLimiter } from './rate-limiter.ts';
import type { OpenStore } from './store.ts';

/** The store of a server. */
export interface ServerStore extends OpenStore {
  /** Counts the connections of this process to the database; null with SQLite. */
  countConnections(): ConnectionCounts | null;
  /**
   * Calls `wake` soon after any process appended events, at most once in 20 ms. Some events have no call, and with SQLite
   * none has: readers poll too.
   */
  watchEvents(wake: () => void): void;
  /** Returns a rate limiter. The processes on a Postgres database share its counts. */
  createRateLimiter(policy: RateLimitPolicy): RateLimiter;
}
