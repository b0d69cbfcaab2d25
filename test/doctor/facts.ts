import type { LiveCounts } from '../../src/ports/store.ts';

/** Returns counts without an open deletion. */
export function countsWith(activeCalls: number): LiveCounts {
  return {
    liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: activeCalls },
    openDeletions: { available: 0, running: 0, retryable: 0, discarded: 0 },
    oldestOpenDeletionAt: null,
  };
}
