import { isRetryable } from './errors.ts';

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 4_000;

export const retryDelay = (failures: number) => Math.min(FIRST_DELAY_MS * 2 ** failures, MAX_DELAY_MS);

/**
 * Sends a request until hangup responds to it. TanStack Query would not retry in a hidden tab, and an operator can look at
 * another tab meanwhile.
 */
export async function sendUntilAnswered<Result>(
  send: () => Promise<Result>,
  { attempts, onFailure }: { attempts: number; onFailure?: () => void },
): Promise<Result> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await send();
    } catch (error) {
      if (failures + 1 >= attempts || !isRetryable(error)) throw error;
      onFailure?.();
      await new Promise((resolve) => setTimeout(resolve, retryDelay(failures)));
    }
  }
}
