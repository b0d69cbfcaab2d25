import { StoreBusyError } from '../domain/errors.ts';
import type { Logger } from '../ports/system.ts';

/** A background task that runs when triggered. Runs never overlap. */
export interface Loop {
  /** Starts a run. During a run, requests one further run. Does nothing after the abort of the signal. */
  trigger(): void;
  /** Resolves when no run is in flight. */
  idle(): Promise<void>;
}

/**
 * Creates a loop. A failed run is logged and does not stop the loop. While the database is unavailable, only the first of
 * the failed runs is logged.
 * @param signal after its abort no run starts; a run in flight ends by itself
 */
export function createLoop(
  name: string,
  run: () => Promise<void>,
  { log, signal }: { log: Pick<Logger, 'error'>; signal: AbortSignal },
): Loop {
  let running: Promise<void> | null = null;
  let isRerunRequested = false;
  let isStoreBusy = false;

  async function runLogged(): Promise<void> {
    try {
      await run();
      isStoreBusy = false;
    } catch (error) {
      const isLogged = isStoreBusy && error instanceof StoreBusyError;
      isStoreBusy = error instanceof StoreBusyError;
      if (isLogged) return;
      log.error({ err: error, loop: name }, 'background loop failed; it runs again on schedule');
    }
  }

  function trigger(): void {
    if (signal.aborted) return;
    if (running !== null) {
      isRerunRequested = true;
      return;
    }
    running = runLogged().then(() => {
      running = null;
      if (!isRerunRequested) return;
      isRerunRequested = false;
      trigger();
    });
  }

  return {
    trigger,
    async idle() {
      while (running !== null) await running;
    },
  };
}
