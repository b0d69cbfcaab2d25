import { StoreBusyError } from '../domain/errors.ts';

/** Another process's lock is tried again this soon: SQLite has no way to announce its end. */
const RETRY_EVERY_MS = 15;

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
    after(RETRY_EVERY_MS, () => {
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
