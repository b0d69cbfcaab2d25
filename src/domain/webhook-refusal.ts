import type { Timestamp } from './time.ts';

/**
 * Reasons for a 401 response to a webhook.
 * bad_signature: the token was not signed with a configured key and secret.
 * clock_skew: the signed token is not valid yet, or has expired.
 * body_changed: the signed token belongs to another body.
 * missing_token: no token in the Authorization header.
 */
export const REFUSAL_REASONS = ['bad_signature', 'clock_skew', 'body_changed', 'missing_token'] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** A refused webhook, for the log and the metrics. The sender receives the same response for every reason. */
export type WebhookRefusal =
  | { readonly reason: 'missing_token' | 'body_changed' }
  | {
      readonly reason: 'bad_signature';
      /** The API key id that the token names; null when it has no plain name. Untrusted. */
      readonly livekitApiKey: string | null;
      /** True: the secret differs. False: the settings lack the key. */
      readonly isLivekitApiKeyConfigured: boolean;
    }
  | {
      readonly reason: 'clock_skew';
      /** Seconds by which LiveKit's clock is ahead; negative: behind. */
      readonly skewSeconds: number;
    };

export const REFUSAL_ADVICE: Readonly<Record<RefusalReason, string>> = {
  bad_signature:
    'set `webhook.api_key` in LiveKit to LIVEKIT_API_KEY or to a key in LIVEKIT_WEBHOOK_KEYS, and compare the secrets',
  clock_skew: 'synchronize the clocks of hangup and LiveKit with NTP',
  body_changed: 'configure the proxy in front of hangup to pass the body of a webhook unchanged',
  missing_token:
    'configure the proxy in front of hangup to pass the Authorization header unchanged; without a proxy, the sender is not LiveKit',
};

/** Accepted difference between LiveKit's clock and hangup's clock. */
export const WEBHOOK_CLOCK_TOLERANCE_S = 10;

/** Claims of a token with a verified signature. Times are in seconds. */
export interface WebhookClaims {
  readonly nbf?: number | undefined;
  readonly exp: number;
  readonly sha256?: unknown;
}

/**
 * Checks verified claims against the clock and the body.
 * @param bodySha256 of the raw body, in base64
 * @returns null for a webhook that is accepted
 */
export function checkClaims(
  { nbf, exp, sha256 }: WebhookClaims,
  { now, bodySha256 }: { now: Timestamp; bodySha256: string },
): WebhookRefusal | null {
  const nowS = Math.floor(now / 1000);
  if (nbf !== undefined && nbf > nowS + WEBHOOK_CLOCK_TOLERANCE_S) {
    return { reason: 'clock_skew', skewSeconds: nbf - nowS };
  }
  if (exp <= nowS - WEBHOOK_CLOCK_TOLERANCE_S) {
    // LiveKit sets `nbf` to the time of signing, so the skew is measured from `nbf`.
    return { reason: 'clock_skew', skewSeconds: Math.min(nbf ?? exp, exp) - nowS };
  }
  return sha256 === bodySha256 ? null : { reason: 'body_changed' };
}

/** The refusals for one reason since its last log line. */
export interface RefusalTally {
  readonly loggedAt: Timestamp;
  readonly unlogged: number;
}

const LOG_INTERVAL_MS = 60_000;

/**
 * Counts a refusal. At most one refusal a minute is logged, because anybody can send webhooks.
 * @returns `countToLog` refusals since the last log line; 0: the caller does not log
 */
export function tallyRefusal(
  tally: RefusalTally | undefined,
  now: Timestamp,
): { readonly tally: RefusalTally; readonly countToLog: number } {
  const unlogged = (tally?.unlogged ?? 0) + 1;
  // A clock that was set back must not silence the log.
  const isLogged = tally === undefined || Math.abs(now - tally.loggedAt) >= LOG_INTERVAL_MS;
  return isLogged
    ? { tally: { loggedAt: now, unlogged: 0 }, countToLog: unlogged }
    : { tally: { loggedAt: tally.loggedAt, unlogged }, countToLog: 0 };
}
