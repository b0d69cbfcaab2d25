import type { PostgresFacts } from '../../src/ports/diagnostics.ts';
import type { LiveCounts } from '../../src/ports/store.ts';

const NO_ROOMS = { under_1m: 0, '1m_to_10m': 0, over_10m: 0 };

/** Counts without a running cancellation or a hold. */
export const NO_CANCELLATIONS: LiveCounts['cancellations'] = {
  running: 0,
  oldestRunningAt: null,
  activeHolds: 0,
  rooms: { pending: NO_ROOMS, discarded: NO_ROOMS },
};

/** Returns counts without an open deletion. */
export function countsWith(activeCalls: number): LiveCounts {
  return {
    liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: activeCalls },
    openDeletions: { available: 0, running: 0, retryable: 0, discarded: 0 },
    oldestOpenDeletionAt: null,
    cancellations: NO_CANCELLATIONS,
  };
}

export const POSTGRES: Extract<PostgresFacts, { kind: 'open' }> = {
  kind: 'open',
  schema: 'current',
  isIncompleteCopy: false,
  version: '17.2',
  synchronousCommit: 'on',
  standbys: '',
  calls: null,
};
