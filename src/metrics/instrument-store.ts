import type { EndedStatus } from '../domain/call.ts';
import type { Meters } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import { measured } from './instrument.ts';

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
export function measuredStore(store: Store, meters: Meters): Store {
  return measured(store, (ended) => {
    const { method, durationMs } = ended;
    meters.storeCall({ method, failed: 'error' in ended, durationMs });
    if ('error' in ended) return;
    const endsOf = ENDS[method] as ((result: unknown) => readonly EndedStatus[]) | undefined;
    for (const status of endsOf?.(ended.result) ?? []) meters.callEnded(status);
  });
}
