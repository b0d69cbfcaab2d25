import type { EventStore } from '../../ports/event-store.ts';
import type { Timers } from '../../ports/system.ts';

const POLL_INTERVAL_MS = 50;

/** Wakes up the readers of events. */
export interface EventFeed {
  /** Resolves when an event after the id `after` is on record, or when the signal is aborted. */
  waitForEvent(after: number, signal: AbortSignal): Promise<void>;
}

interface Waiter {
  readonly after: number;
  wake(): void;
}

/**
 * Creates the feed of a process. While readers wait, one poll of the newest id serves all of them: another process on the
 * same database can have written the event.
 */
export function createEventFeed({
  store,
  timers,
}: {
  store: Pick<EventStore, 'getEventRange'>;
  timers: Timers;
}): EventFeed {
  const waiters = new Set<Waiter>();
  let isPolling = false;

  async function poll(): Promise<void> {
    // The store counts its failures. The next poll repeats the read.
    const range = await store.getEventRange().catch(() => null);
    for (const waiter of waiters) {
      if (range !== null && range.newest > waiter.after) waiter.wake();
    }
    isPolling = waiters.size > 0;
    if (isPolling) timers.after(POLL_INTERVAL_MS, () => void poll());
  }

  return {
    waitForEvent: (after, signal) =>
      new Promise((resolve) => {
        const waiter: Waiter = {
          after,
          wake() {
            waiters.delete(waiter);
            signal.removeEventListener('abort', waiter.wake);
            resolve();
          },
        };
        if (signal.aborted) return resolve();
        signal.addEventListener('abort', waiter.wake);
        waiters.add(waiter);
        if (isPolling) return;
        isPolling = true;
        timers.after(POLL_INTERVAL_MS, () => void poll());
      }),
  };
}
