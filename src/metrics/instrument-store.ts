import { isLive } from '../domain/call-status.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import { instrument } from './instrument.ts';

/** Times each method of the store, and counts failures and ended calls. */
export function instrumentStore(store: Store, metrics: Metrics): Store {
  const record = (method: string, finished: { readonly durationMs: number; readonly error?: unknown }) =>
    metrics.storeOperation({ method, failed: 'error' in finished, durationMs: finished.durationMs });
  return {
    ...instrument(store, (finished) => record(finished.method, finished)),
    async changeCall(command) {
      const { run } = instrument({ run: () => store.changeCall(command) }, (finished) =>
        record(`changeCall:${command.kind}`, finished),
      );
      const changed = await run();
      for (const { action, toStatus } of changed.events) {
        if (action === 'call.status_changed' && toStatus !== null && !isLive(toStatus)) {
          metrics.callEnded(toStatus);
        }
      }
      return changed;
    },
  };
}
