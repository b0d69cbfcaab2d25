import { isLive } from '../domain/call-status.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import { instrument, timeCall } from './instrument.ts';

/** Times each method of the store, and counts failures and ended calls. */
export function instrumentStore(store: Store, metrics: Metrics): Store {
  const timed = instrument(store, (finished) =>
    metrics.storeOperation({
      method: finished.method,
      failed: 'error' in finished,
      durationMs: finished.durationMs,
    }),
  );
  return {
    ...timed,
    async changeCall(command) {
      const changed = await timeCall(
        () => store.changeCall(command),
        (durationMs, outcome) =>
          metrics.storeOperation({
            method: `changeCall:${command.kind}`,
            failed: 'error' in outcome,
            durationMs,
          }),
      );
      for (const { action, toStatus } of changed.events) {
        if (action === 'call.status_changed' && toStatus !== null && !isLive(toStatus)) {
          metrics.callEnded(toStatus);
        }
      }
      return changed;
    },
    async advanceCancellation(input) {
      const advanced = await timed.advanceCancellation(input);
      for (let i = 0; i < advanced.cancelled; i += 1) metrics.callEnded('cancelled');
      return advanced;
    },
  };
}
