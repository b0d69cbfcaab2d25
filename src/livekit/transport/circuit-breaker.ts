import { classifyOutcome, INITIAL_BREAKER_STATE, onRequestFinished } from '../../domain/circuit-breaker.ts';
import { type Timestamp, toIso } from '../../domain/time.ts';
import type { Clock, Logger } from '../../ports/system.ts';
import type { RoomServiceTransport } from './twirp.ts';

/** The state of LiveKit for /readyz, the metrics and the reconciler. */
export interface CircuitBreaker {
  readonly transport: RoomServiceTransport;
  /** Since when LiveKit is unreachable; null if it is reachable or the state is unknown. */
  openSince(): Timestamp | null;
  /** Null until LiveKit has responded to a request, or has left enough requests unanswered. */
  isUp(): boolean | null;
  /** Since when LiveKit is up or unreachable; null while that is unknown. */
  since(): Timestamp | null;
}

/**
 * Tracks the outcomes of all requests, and blocks none: callers decide by {@link CircuitBreaker.openSince}.
 * @param onOpened LiveKit became unreachable
 * @param onRecovered LiveKit responds again
 */
export function circuitBreaker(
  transport: RoomServiceTransport,
  {
    clock,
    log,
    onOpened,
    onRecovered,
  }: { clock: Clock; log: Logger; onOpened: () => void; onRecovered: (downMs: number) => void },
): CircuitBreaker {
  let state = INITIAL_BREAKER_STATE;
  let changedAt: Timestamp | null = null;
  return {
    async transport(request) {
      const outcome = await transport(request);
      const now = clock.now();
      const { openSince: openedBefore, isUp: wasUp } = state;
      state = onRequestFinished(state, classifyOutcome(request.method, outcome), now);
      const { openSince } = state;
      if (state.isUp !== wasUp) changedAt = openSince ?? now;
      if (openedBefore === null && openSince !== null) {
        const cause = 'detail' in outcome ? outcome.detail : outcome.kind;
        log.error(
          { cause, since: toIso(openSince) },
          'LiveKit is unreachable; room deletions are queued until it recovers',
        );
        onOpened();
      }
      if (openedBefore !== null && openSince === null) onRecovered(now - openedBefore);
      return outcome;
    },
    openSince: () => state.openSince,
    isUp: () => state.isUp,
    since: () => changedAt,
  };
}
