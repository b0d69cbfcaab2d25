import { StoreBusyError } from '../../domain/errors.ts';
import type { SharedTransaction } from './transaction.ts';

/** SQLite does not report the end of another process's lock. The queue retries after 1, 2, 4 and 8 ms, then at this interval. */
const MAX_PAUSE_MS = 15;
/** More writes in a commit save little more of its cost, but delay the first responses and other processes. */
const MAX_COMMIT_WRITES = 256;
const MAX_COMMIT_MS = 10;

export interface Write {
  /** The write does not start after this time. */
  readonly expiresAtMs: number;
  /** True: the write begins its own transaction, because a shared transaction does not suit it. */
  readonly isAlone: boolean;
  run(): unknown;
}

/** The end of a write. */
export type Outcome<W extends Write> =
  | { readonly write: W; readonly result: unknown }
  | { readonly write: W; readonly error: unknown };

export interface WriteQueue<W extends Write> {
  push(writes: readonly W[]): void;
  /** Resolves when the queue is empty. */
  drained(): Promise<void>;
}

/**
 * Runs writes in the order of arrival. The writes that arrive during a commit share the next commit. While another process
 * holds SQLite's lock, all writes wait, each until its own deadline, and no thread is blocked.
 */
export function createWriteQueue<W extends Write>({
  nowMs,
  after,
  isBusy,
  transaction,
  receive,
  reply,
}: {
  nowMs: () => number;
  after: (delayMs: number, run: () => void) => unknown;
  isBusy: (error: unknown) => boolean;
  transaction: SharedTransaction;
  /** Returns the writes that arrived since the last call. */
  receive: () => readonly W[];
  /** Called after the commit of the writes. */
  reply: (outcomes: readonly Outcome<W>[]) => void;
}): WriteQueue<W> {
  let waiting: W[] = [];
  let isRetryScheduled = false;
  let busyCount = 0;
  /** Null while the queue is empty. */
  let onDrained: PromiseWithResolvers<void> | null = null;

  function rejectExpired(): void {
    const now = nowMs();
    const expired = waiting.filter(({ expiresAtMs }) => expiresAtMs <= now);
    if (expired.length === 0) return;
    waiting = waiting.filter(({ expiresAtMs }) => expiresAtMs > now);
    reply(expired.map((write) => ({ write, error: new StoreBusyError() })));
  }

  function runAll(): void {
    // Before `receive`, which can return writes and the request to close.
    onDrained ??= Promise.withResolvers();
    for (;;) {
      waiting.push(...receive());
      rejectExpired();
      const [first] = waiting;
      if (first === undefined) {
        onDrained.resolve();
        onDrained = null;
        return;
      }
      const outcomes = first.isAlone ? runAlone(first) : runTogether();
      if (outcomes === null) {
        retryLater();
        return;
      }
      busyCount = 0;
      waiting.splice(0, outcomes.length);
      reply(outcomes);
    }
  }

  /** Returns null while another process holds the lock. */
  function runAlone(write: W): Outcome<W>[] | null {
    try {
      return [{ write, result: write.run() }];
    } catch (error) {
      return isBusy(error) ? null : [{ write, error }];
    }
  }

  /**
   * Commits the first writes of the queue together. If the commit fails, each of them fails.
   * @returns null, after undoing all of them, while another process holds the lock
   */
  function runTogether(): Outcome<W>[] | null {
    const started: W[] = [];
    const outcomes: Outcome<W>[] = [];
    try {
      transaction.commit(() => {
        const endsAtMs = nowMs() + MAX_COMMIT_MS;
        for (const write of waiting) {
          const isFull = started.length === MAX_COMMIT_WRITES || nowMs() >= endsAtMs;
          if (write.isAlone || (isFull && started.length > 0)) break;
          started.push(write);
          const attempt = transaction.attempt(() => write.run());
          if ('error' in attempt && isBusy(attempt.error)) throw attempt.error;
          outcomes.push({ write, ...attempt });
        }
      });
      return outcomes;
    } catch (error) {
      if (isBusy(error)) return null;
      // A transaction that did not begin has started no write.
      const failed = started.length > 0 ? started : waiting.slice(0, 1);
      return failed.map((write) => ({ write, error }));
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
    push(writes) {
      waiting.push(...writes);
      if (!isRetryScheduled) runAll();
    },
    drained: () => onDrained?.promise ?? Promise.resolve(),
  };
}
