import type { LiveKitVerdict } from '../../ports/diagnostics.ts';
import type { Finding } from '../finding.ts';
import { MAX_SKEW_BEHIND_MS } from './clock-skew.ts';

export function assessCredentials(
  verdict: Exclude<LiveKitVerdict, { kind: 'not_livekit' }>,
  clockSkewMs: number | null,
): Finding {
  const check = 'credentials';
  if (verdict.kind === 'accepted') {
    return { check, level: 'ok', message: 'LiveKit accepts the API key and the secret' };
  }
  if (verdict.reason === 'key') {
    return {
      check,
      level: 'failure',
      message: 'LiveKit does not have this API key',
      advice:
        'set LIVEKIT_API_KEY to one of the `keys` in the configuration of LiveKit, or add the key there',
    };
  }
  // LiveKit checks the key before the token: after a large skew the secret can still be right.
  if (Math.abs(clockSkewMs ?? 0) > MAX_SKEW_BEHIND_MS) {
    return {
      check,
      level: 'unknown',
      message: 'LiveKit has the API key; the clock skew prevents a check of the secret',
    };
  }
  return {
    check,
    level: 'failure',
    message: 'LiveKit rejected the token signature',
    advice:
      'check that LIVEKIT_API_SECRET is the secret of LIVEKIT_API_KEY; if the secret is right, compare the clocks',
  };
}
