import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { errorCode } from '../../domain/errors.ts';

/** The pause before a pool opens more connections than the server permitted. */
const GROWTH_PAUSE_MS = 1_000;
const RETRY_PAUSE_MS = 20;

const TOO_MANY_CONNECTIONS = '53300';

/** Whether the server refuses a connection because it has too many. */
export const isConnectionLimit = (error: unknown) => errorCode(error) === TOO_MANY_CONNECTIONS;

/** Adapts a pool to the number of connections that the server permits. */
export interface PoolLimit {
  /** Limits the pool to its present connections, for which requests then wait. Call this before the next attempt. */
  onRefused(): Promise<void>;
  /** Closes a connection of the pool, so that another pool can open one. */
  giveUp(): Promise<void>;
}

/** @param onStarved is called when the pool has no connection, and the server permits none */
export function limitPool(pool: pg.Pool, onStarved: () => Promise<void> = async () => {}): PoolLimit {
  const { max } = pool.options;
  let isGrowthPaused = false;

  function shrinkTo(size: number): void {
    pool.options.max = Math.max(1, size);
    if (isGrowthPaused) return;
    isGrowthPaused = true;
    setTimeout(() => {
      isGrowthPaused = false;
      pool.options.max = max;
    }, GROWTH_PAUSE_MS).unref();
  }

  return {
    async onRefused() {
      shrinkTo(pool.totalCount);
      if (pool.totalCount > 0) return;
      await onStarved();
      await delay(RETRY_PAUSE_MS);
    },
    async giveUp() {
      if (pool.totalCount === 0) return;
      shrinkTo(pool.totalCount - 1);
      const client = await pool.connect().catch(() => null);
      client?.release(true);
    },
  };
}
