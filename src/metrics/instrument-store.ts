import type { EndedStatus } from '../domain/call.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import { instrument } from './instrument.ts';

type EndedCalls = {
  readonly [M in keyof Store]?: (result: Awaited<ReturnType<Store[M]>>) => readonly EndedStatus[];
};

/** For each method that ends calls: the statuses of the ended calls in a result. */
const endedCalls: EndedCalls = {
  cancelCall: (result) => (result.kind === 'cancelled' ? ['cancelled'] : []),
  applyEvent: (result) =>
    result.kind === 'applied' && result.decision.kind === 'end' ? [result.decision.status] : [],
  applyObservation: (result) => (result?.decision.kind === 'end' ? [result.decision.status] : []),
};

/** Returns a copy of the store that records the duration and errors of each method, and counts ended calls. */
export function instrumentStore(store: Store, metrics: Metrics): Store {
  return instrument(store, (call) => {
    const { method, durationMs } = call;
    metrics.storeOperation({ method, failed: 'error' in call, durationMs });
    if ('error' in call) return;
    const statusesIn = endedCalls[method] as ((result: unknown) => readonly EndedStatus[]) | undefined;
    for (const status of statusesIn?.(call.result) ?? []) metrics.callEnded(status);
  });
}
