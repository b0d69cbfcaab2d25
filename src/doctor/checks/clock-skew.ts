import { WEBHOOK_CLOCK_TOLERANCE_S } from '../../domain/webhook-refusal.ts';
import type { Finding } from '../finding.ts';

/** The Date header has a resolution of one second. */
const SKEW_TOLERANCE_MS = 3_000;
/** If LiveKit is further ahead, hangup refuses its webhooks: their tokens are not valid yet. */
const MAX_SKEW_AHEAD_MS = WEBHOOK_CLOCK_TOLERANCE_S * 1000;
/** LiveKit refuses a token that was signed further ahead of its own clock (measured on 1.13.5). */
export const MAX_SKEW_BEHIND_MS = 60_000;
/** If LiveKit is this far behind, its webhooks arrive with expired tokens, which are valid for 5 minutes. */
const EXPIRED_SKEW_BEHIND_MS = 300_000 + WEBHOOK_CLOCK_TOLERANCE_S * 1000;

/** @param clockSkewMs milliseconds by which LiveKit's clock is ahead; negative: behind; null: unknown */
export function assessClockSkew(clockSkewMs: number | null): Finding {
  const check = 'clock';
  if (clockSkewMs === null) {
    return {
      check,
      level: 'unknown',
      message: "LiveKit's response has no Date header, so the clock skew is unknown",
    };
  }
  const source = "according to the Date header of LiveKit's response, which a proxy can replace";
  if (Math.abs(clockSkewMs) <= SKEW_TOLERANCE_MS) {
    return { check, level: 'ok', message: `clock skew is under ${SKEW_TOLERANCE_MS / 1000} s (${source})` };
  }
  const seconds = Math.round(Math.abs(clockSkewMs) / 1000);
  const message = `LiveKit's clock is ${seconds} s ${clockSkewMs > 0 ? 'ahead' : 'behind'} (${source})`;
  const consequences = consequencesOf(clockSkewMs);
  const advice = 'synchronize both clocks with NTP';
  return consequences.length === 0
    ? { check, level: 'warning', message, advice }
    : { check, level: 'failure', message: `${message}: ${consequences.join('; ')}`, advice };
}

function consequencesOf(clockSkewMs: number): string[] {
  if (clockSkewMs > MAX_SKEW_AHEAD_MS) {
    return ["hangup refuses LiveKit's webhooks (clock_skew), because they are not valid yet"];
  }
  return [
    ...(clockSkewMs < -MAX_SKEW_BEHIND_MS
      ? ["LiveKit refuses hangup's tokens, because they are not valid yet"]
      : []),
    ...(clockSkewMs <= -EXPIRED_SKEW_BEHIND_MS
      ? ["hangup refuses LiveKit's webhooks (clock_skew), because they have expired"]
      : []),
  ];
}
