import { StoreBusyError } from '../../domain/errors.ts';

/** SQLite does not report the end of another process's lock. The queue retries after 1, 2, 4 and 8 ms, then at this interval. */
const MAX_PAUSE_MS = 15;

export interface Write {
  /** The write does not start after this time. */
  readonly expiresAtMs: number;
  run(): unknown;
  done(result: unknown): void;
  failed(error: unknown): void;
}

export interface WriteQueue {
  push(write: Write): void;
  /** Resolves when the queue is empty. */
  drained(): Promise<void>;
}

/**
 * Runs writes one after another, in the order of arrival. While another process holds SQLite's lock, all writes wait, each
 * until its own deadline, and no thread is blocked.
 */
export function createWriteQueue({
  nowMs,
  after,
  isBusy,
}: {
  nowMs: () => number;
  after: (delayMs: number, run: () => void) => unknown;
  isBusy: (error: unknown) => boolean;
}): WriteQueue {
  let waiting: Write[] = [];
  let isRetryScheduled = false;
  let busyCount = 0;
  let onDrained = Promise.withResolvers<void>();
  onDrained.resolve();

  function rejectExpired(): void {
    const now = nowMs();
    const expired = waiting.filter(({ expiresAtMs }) => expiresAtMs <= now);
    if (expired.length === 0) return;
    waiting = waiting.filter(({ expiresAtMs }) => expiresAtMs > now);
    for (const write of expired) write.failed(new StoreBusyError());
  }

  function runAll(): void {
    for (;;) {
      rejectExpired();
      const write = waiting[0];
      if (write === undefined) {
        onDrained.resolve();
        return;
      }
      try {
        const result = write.run();
        busyCount = 0;
        waiting.shift();
        write.done(result);
      } catch (error) {
        if (isBusy(error)) {
          retryLater();
          return;
        }
        waiting.shift();
        write.failed(error);
      }
    }
  }

  function retryLater(): void {
    isRetryScheduled = true;
    const pauseMs = Math.min(MAX_PAUSE_MS, 2 ** busyCount);
    busyCount += 1;
    after(pauseMs, () => {
      isRetryScheduled = false;
      runAll();
    });
  }

  return {
    push(write) {
      if (waiting.length === 0) onDrained = Promise.withResolvers();
      waiting.push(write);
      if (!isRetryScheduled) runAll();
    },
    drained: () => onDrained.promise,
  };
}
