import { onRequestFinished, resultOf, UNKNOWN_STATE } from '../../domain/circuit-breaker.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Clock, Logger } from '../../ports/system.ts';
import type { RoomServiceTransport } from './twirp.ts';

/** Whether LiveKit answers: read by /readyz, by the metrics and by the reconciler. */
export interface CircuitBreaker {
  readonly transport: RoomServiceTransport;
  /** Since when LiveKit does not answer; null while it does, and while that is unknown. */
  openSince(): Timestamp | null;
  /** Null until LiveKit has answered a request, or has left enough of them unanswered. */
  isUp(): boolean | null;
}

/**
 * Tracks the outcomes of all requests. It blocks none: each caller decides by {@link CircuitBreaker.openSince}.
 * @param onRecovered is called when LiveKit answers again
 */
export function circuitBreaker(
  transport: RoomServiceTransport,
  { clock, log, onRecovered }: { clock: Clock; log: Logger; onRecovered: (downMs: number) => void },
): CircuitBreaker {
  let state = UNKNOWN_STATE;
  return {
    async transport(request) {
      const outcome = await transport(request);
      const now = clock.now();
      const before = state.openSince;
      state = onRequestFinished(state, resultOf(request.method, outcome), now);
      const after = state.openSince;
      if (before === null && after !== null) {
        const cause = 'detail' in outcome ? outcome.detail : outcome.kind;
        log.error(
          { cause, since: new Date(after).toISOString() },
          'LiveKit is away: cancels are kept, and their rooms deleted when it answers again',
        );
      }
      if (before !== null && after === null) onRecovered(now - before);
      return outcome;
    },
    openSince: () => state.openSince,
    isUp: () => state.isUp,
  };
}
