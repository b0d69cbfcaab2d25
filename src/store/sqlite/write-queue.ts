import { StoreBusyError } from '../../domain/errors.ts';

/** SQLite does not announce the end of another process's lock: it is tried again after 1, 2, 4, 8 ms, then after this. */
const LONGEST_PAUSE_MS = 15;

export interface Write {
  /** From here on it is not begun any more. */
  readonly expiresAtMs: number;
  run(): unknown;
  done(result: unknown): void;
  failed(error: unknown): void;
}

export interface WriteQueue {
  push(write: Write): void;
  /** Resolves when no write waits. */
  drained(): Promise<void>;
}

/**
 * Runs writes one after another, in the order in which they came. While another process holds SQLite's lock all of them
 * wait for it, each until its own deadline, and no thread is blocked.
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
  let isRetryPlanned = false;
  let refusals = 0;
  let onDrained = Promise.withResolvers<void>();
  onDrained.resolve();

  function expire(): void {
    const now = nowMs();
    const expired = waiting.filter(({ expiresAtMs }) => expiresAtMs <= now);
    if (expired.length === 0) return;
    waiting = waiting.filter(({ expiresAtMs }) => expiresAtMs > now);
    for (const write of expired) write.failed(new StoreBusyError());
  }

  function runAll(): void {
    for (;;) {
      expire();
      const write = waiting[0];
      if (write === undefined) {
        onDrained.resolve();
        return;
      }
      try {
        const result = write.run();
        refusals = 0;
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
    isRetryPlanned = true;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, 2 ** refusals);
    refusals += 1;
    after(pauseMs, () => {
      isRetryPlanned = false;
      runAll();
    });
  }

  return {
    push(write) {
      if (waiting.length === 0) onDrained = Promise.withResolvers();
      waiting.push(write);
      if (!isRetryPlanned) runAll();
    },
    drained: () => onDrained.promise,
  };
}
