import type { EndedStatus } from '../domain/call.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import { instrument } from './instrument.ts';

type Ends = {
  readonly [M in keyof Store]?: (result: Awaited<ReturnType<Store[M]>>) => readonly EndedStatus[];
};

/** The methods that end calls, and the ends in a result. */
const ENDS: Ends = {
  cancelCall: (result) => (result.kind === 'cancelled' ? ['cancelled'] : []),
  applyEvent: (result) =>
    result.kind === 'applied' && result.decision.kind === 'end' ? [result.decision.status] : [],
  applyObservation: (result) => (result?.decision.kind === 'end' ? [result.decision.status] : []),
};

/** Times each method, and counts failures and the ends of calls. */
export function instrumentStore(store: Store, metrics: Metrics): Store {
  return instrument(store, (ended) => {
    const { method, durationMs } = ended;
    metrics.storeOperation({ method, failed: 'error' in ended, durationMs });
    if ('error' in ended) return;
    const endsOf = ENDS[method] as ((result: unknown) => readonly EndedStatus[]) | undefined;
    for (const status of endsOf?.(ended.result) ?? []) metrics.callEnded(status);
  });
}
