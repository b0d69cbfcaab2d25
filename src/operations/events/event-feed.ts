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
 * @param watchEvents calls the function soon after an event was appended; the poll then does not wait for its interval
 */
export function createEventFeed({
  store,
  timers,
  watchEvents = () => {},
}: {
  store: Pick<EventStore, 'getEventRange'>;
  timers: Timers;
  watchEvents?: (wake: () => void) => void;
}): EventFeed {
  const waiters = new Set<Waiter>();
  let isWatching = false;
  let isReading = false;
  /** A signal came after the last poll began. */
  let isSignalled = false;
  /** Null: no poll is scheduled. */
  let cancelPoll: (() => void) | null = null;

  async function poll(): Promise<void> {
    cancelPoll = null;
    isReading = true;
    isSignalled = false;
    // The store counts its failures. The next poll repeats the read.
    const range = await store.getEventRange().catch(() => null);
    isReading = false;
    for (const waiter of waiters) {
      if (range !== null && range.newest > waiter.after) waiter.wake();
    }
    if (waiters.size > 0) schedulePoll();
  }

  function schedulePoll(): void {
    if (isSignalled) void poll();
    else cancelPoll = timers.after(POLL_INTERVAL_MS, () => void poll());
  }

  function onSignal(): void {
    isSignalled = true;
    if (cancelPoll === null || waiters.size === 0) return;
    cancelPoll();
    void poll();
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
        if (!isWatching) watchEvents(onSignal);
        isWatching = true;
        if (!isReading && cancelPoll === null) schedulePoll();
      }),
  };
}
