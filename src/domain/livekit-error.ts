/**
 * How a request to LiveKit can fail.
 * unavailable: not reached, not understood, or a 5xx. timed_out: no answer within the deadline, done or not.
 * rate_limited: told to come back later, nothing done.
 * refused: it said no: to the credentials, to the address (what answers there is no LiveKit), or to the request.
 */
export type LiveKitError =
  | {
      readonly kind: 'unavailable';
      /** LiveKit's word; null when it was not LiveKit that spoke. */
      readonly code: string | null;
      readonly detail: string;
    }
  | { readonly kind: 'timed_out'; readonly detail: string }
  | {
      readonly kind: 'rate_limited';
      /** As LiveKit said; null when it did not say. */
      readonly retryAfterMs: number | null;
      readonly detail: string;
    }
  | {
      readonly kind: 'refused';
      readonly by: 'credentials' | 'address' | 'request';
      /** LiveKit's word, such as `permission_denied`. */
      readonly code: string;
      readonly detail: string;
    };

export function formatLiveKitError(failure: LiveKitError): string {
  return `${failure.kind === 'refused' ? `refused (${failure.code})` : failure.kind}: ${failure.detail}`;
}

/** What an operator can do about it. */
export function adviceForLiveKitError(failure: LiveKitError): { readonly advice?: string } {
  if (failure.kind === 'rate_limited') {
    return { advice: 'set LIVEKIT_REQUESTS_PER_MINUTE below the limit of your LiveKit project' };
  }
  if (failure.kind !== 'refused') return {};
  switch (failure.by) {
    case 'credentials':
      return {
        advice:
          'check LIVEKIT_API_KEY and LIVEKIT_API_SECRET against the keys of your LiveKit server; if they are right, compare the clocks',
      };
    case 'address':
      return { advice: 'check LIVEKIT_URL: what answers there is no LiveKit server' };
    case 'request':
      return {};
  }
}

/** LiveKit's own answer that no node responds: not an error of LiveKit, and not silence. */
export function isNodeUnresponsive(outcome: {
  readonly kind: string;
  readonly code?: string | null;
}): boolean {
  return outcome.kind === 'unavailable' && outcome.code === 'unavailable';
}
