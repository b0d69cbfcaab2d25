import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../api-client.ts';

const INITIAL_DELAY_MS = 500;
const MAX_DELAY_MS = 5_000;

/**
 * Returns the result of the first attempt that succeeds. Retries transient failures with growing delays.
 * @throws the last failure, when `limitMs` have passed since the first; any other failure at once
 */
export async function retryTransientFailures<Result>(
  attempt: () => Promise<Result>,
  { limitMs, signal, onRetry }: { limitMs: number; signal: AbortSignal; onRetry: (error: ApiError) => void },
): Promise<Result> {
  const startedAt = performance.now();
  for (let delayMs = INITIAL_DELAY_MS; ; delayMs = Math.min(2 * delayMs, MAX_DELAY_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ApiError && error.isTransient)) throw error;
      if (performance.now() - startedAt + delayMs > limitMs) throw error;
      onRetry(error);
    }
    await sleep(delayMs, undefined, { signal });
  }
}
