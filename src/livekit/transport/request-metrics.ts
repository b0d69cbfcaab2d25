import type { Metrics } from '../../ports/metrics.ts';
import type { RoomServiceTransport } from './twirp.ts';

/** Counts and times each request. Wrap it inside the rate limit, so that the duration leaves out the wait. */
export function withRequestMetrics(
  transport: RoomServiceTransport,
  metrics: Pick<Metrics, 'livekitRequest'>,
): RoomServiceTransport {
  return async (request) => {
    const startedAt = performance.now();
    const outcome = await transport(request);
    const durationMs = performance.now() - startedAt;
    metrics.livekitRequest({ method: request.method, code: outcome.kind, durationMs });
    return outcome;
  };
}
