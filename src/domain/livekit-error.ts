/**
 * A failed request to LiveKit.
 * unavailable: no connection, an unreadable response, or a 5xx. timed_out: no response within the deadline; the request
 * may have been executed. rate_limited: not executed, retry later. refused: LiveKit rejected the credentials or the
 * request, or the address is not a LiveKit server.
 */
export type LiveKitError =
  | {
      readonly kind: 'unavailable';
      /** Twirp error code; null if the response is not LiveKit's. */
      readonly code: string | null;
      readonly detail: string;
    }
  | { readonly kind: 'timed_out'; readonly detail: string }
  | {
      readonly kind: 'rate_limited';
      /** From the Retry-After header; null without that header. */
      readonly retryAfterMs: number | null;
      readonly detail: string;
    }
  | {
      readonly kind: 'refused';
      readonly reason: 'credentials' | 'address' | 'request';
      /** Twirp error code, such as `permission_denied`. */
      readonly code: string;
      readonly detail: string;
    };

/** Returns the failure as one line for logs and for the deletion's last error. */
export function formatLiveKitError(failure: LiveKitError): string {
  if (failure.kind === 'refused') return `refused (${failure.code}): ${failure.detail}`;
  // The Twirp code at the start of the detail can equal the kind.
  const prefix = `${failure.kind}: `;
  return failure.detail.startsWith(prefix) ? failure.detail : `${prefix}${failure.detail}`;
}

/** Returns advice for the operator, as a field of a log line. */
export function adviceForLiveKitError(failure: LiveKitError): { readonly advice?: string } {
  if (failure.kind === 'rate_limited') {
    return { advice: 'set LIVEKIT_REQUESTS_PER_MINUTE below the limit of your LiveKit project' };
  }
  if (failure.kind !== 'refused') return {};
  switch (failure.reason) {
    case 'credentials':
      return {
        advice:
          'check LIVEKIT_API_KEY and LIVEKIT_API_SECRET against the keys of your LiveKit server; if they are right, compare the clocks',
      };
    case 'address':
      return { advice: 'check LIVEKIT_URL: the address is not a LiveKit server' };
    case 'request':
      return {};
  }
}

/** True for LiveKit's response that the room's node does not respond. */
export function isNodeUnresponsive(outcome: {
  readonly kind: string;
  readonly code?: string | null;
}): boolean {
  return outcome.kind === 'unavailable' && outcome.code === 'unavailable';
}
