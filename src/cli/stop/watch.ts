import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, sendRequest } from '../api-client.ts';
import { CliError } from '../output.ts';
import { type Cancellation, CancellationSchema, cancellationPath } from './cancellation.ts';
import type { ProgressView } from './progress.ts';

/** A stop of a few calls is completed after some 100 ms. */
const FIRST_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 1_000;
const REMINDER_INTERVAL_MS = 30_000;

/** Returns how to see a stop again. */
export function howToWatch(id: string): string {
  return `\`hangup stop watch ${id}\` shows its progress, and \`hangup stop list\` lists all stops`;
}

/**
 * Shows a cancellation until its state is completed, and returns it. Retries without a limit, because the stop goes on in
 * the server.
 * @throws ApiError for a response that a retry does not change
 */
export async function watchCancellation(
  id: string,
  { view, signal }: { view: ProgressView; signal: AbortSignal },
): Promise<Cancellation> {
  let reportedAt: number | null = null;
  let hasResponse = false;
  for (let intervalMs = FIRST_INTERVAL_MS; ; intervalMs = Math.min(2 * intervalMs, MAX_INTERVAL_MS)) {
    let waitMs = intervalMs;
    try {
      const path = cancellationPath(id);
      const { data } = await sendRequest('GET', path, { dataSchema: CancellationSchema, signal });
      if (reportedAt !== null) view.note('the server responds again');
      reportedAt = null;
      hasResponse = true;
      view.show(data);
      if (data.state === 'completed') return data;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!error.isTransient)
        throw hasResponse ? new CliError(`${error.message} The stop ${id} goes on.`) : error;
      waitMs = Math.max(intervalMs, error.retryAfterMs ?? 0);
      if (reportedAt === null || performance.now() - reportedAt >= REMINDER_INTERVAL_MS) {
        reportedAt = performance.now();
        view.note(`${error.message} Retrying. The stop goes on when hangup runs; ${howToWatch(id)}.`);
      }
    }
    await sleep(waitMs, undefined, { signal });
  }
}
