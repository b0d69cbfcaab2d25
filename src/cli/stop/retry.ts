import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../api-client.ts';

const INITIAL_DELAY_MS = 500;
const MAX_DELAY_MS = 5_000;

/**
 * Returns the result of the first attempt that succeeds. Retries transient failures with growing delays, and not before
 * the time in `retry-after`.
 * @throws the last failure, when the next attempt would start more than `limitMs` after the first; any other failure at
 * once
 */
export async function retryTransientFailures<Result>(
  attempt: () => Promise<Result>,
  { limitMs, signal, onRetry }: { limitMs: number; signal: AbortSignal; onRetry: (error: ApiError) => void },
): Promise<Result> {
  const startedAt = performance.now();
  for (let delayMs = INITIAL_DELAY_MS; ; delayMs = Math.min(2 * delayMs, MAX_DELAY_MS)) {
    let waitMs = delayMs;
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ApiError && error.isTransient)) throw error;
      waitMs = Math.max(delayMs, error.retryAfterMs ?? 0);
      if (performance.now() - startedAt + waitMs > limitMs) throw error;
      onRetry(error);
    }
    await sleep(waitMs, undefined, { signal });
  }
}
