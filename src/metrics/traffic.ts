import type { Traffic } from '../ports/health.ts';
import type { Metrics } from '../ports/metrics.ts';

/** The largest number of durations between two calls of `take`. */
const MAX_DURATIONS = 1_000;

/** Counts the traffic of the process between two calls of `take`. */
export interface TrafficMeter {
  countRequest(): void;
  take(): Traffic;
  /** Returns metrics that also time the requests to LiveKit here. */
  observe<M extends Pick<Metrics, 'livekitRequest'>>(metrics: M): M;
}

export function createTrafficMeter(): TrafficMeter {
  let requests = 0;
  let durations: number[] = [];
  return {
    countRequest: () => {
      requests += 1;
    },
    take() {
      const taken = { requests, livekitMs: percentile95(durations) };
      requests = 0;
      durations = [];
      return taken;
    },
    observe: (metrics) => ({
      ...metrics,
      livekitRequest(request) {
        if (durations.length < MAX_DURATIONS) durations.push(request.durationMs);
        metrics.livekitRequest(request);
      },
    }),
  };
}

function percentile95(durations: readonly number[]): number | null {
  const sorted = durations.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.95) - 1] ?? null;
}
