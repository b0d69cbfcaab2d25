import { isLive } from '../domain/call.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import { instrument } from './instrument.ts';

/** Times each method of the store, and counts failures and ended calls. */
export function instrumentStore(store: Store, metrics: Metrics): Store {
  const record = (method: string, ended: { readonly durationMs: number; readonly error?: unknown }) =>
    metrics.storeOperation({ method, failed: 'error' in ended, durationMs: ended.durationMs });
  return {
    ...instrument(store, (ended) => record(ended.method, ended)),
    async changeCall(command) {
      const { run } = instrument({ run: () => store.changeCall(command) }, (ended) =>
        record(`changeCall:${command.kind}`, ended),
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
