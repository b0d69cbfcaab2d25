import { isLive } from '../domain/call-status.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import { instrument, timeCall } from './instrument.ts';

/** Times each method of the store, and counts failures and ended calls. */
export function instrumentStore(store: Store, metrics: Metrics): Store {
  return {
    ...instrument(store, (finished) =>
      metrics.storeOperation({
        method: finished.method,
        failed: 'error' in finished,
        durationMs: finished.durationMs,
      }),
    ),
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
  };
}
