import type { Timestamp } from '../../domain/time.ts';
import { REFUSAL_ADVICE, REFUSAL_REASONS } from '../../domain/webhook-refusal.ts';
import type { CallFacts } from '../../ports/diagnostics.ts';
import { type Finding, formatAge, pluralize } from '../finding.ts';

const QUIET_MS = 3_600_000;
const ADVICE = [
  "add the URL of hangup's /webhooks/livekit to `webhook.urls` in the configuration of LiveKit",
  'if the log has refused webhooks, look up their `reason`:',
  ...REFUSAL_REASONS.map((reason) => `  ${reason}: ${REFUSAL_ADVICE[reason]}`),
].join('\n');

export function assessWebhooks(
  { lastWebhookAt, counts }: Pick<CallFacts, 'lastWebhookAt' | 'counts'>,
  now: Timestamp,
): Finding {
  const check = 'webhooks';
  const liveCalls = Object.values(counts.liveCalls).reduce((sum, count) => sum + count, 0);
  const live = liveCalls === 0 ? 'no live calls' : pluralize(liveCalls, 'live call');
  if (lastWebhookAt === null) {
    const message = `no LiveKit webhook on record; ${live}`;
    return liveCalls === 0
      ? { check, level: 'unknown', message }
      : {
          check,
          level: 'warning',
          message: `${message}; statuses are updated by reconciliation only`,
          advice: ADVICE,
        };
  }
  const ageMs = now - lastWebhookAt;
  const message = `last webhook received ${formatAge(ageMs)}`;
  // LiveKit sends no webhook during a long conversation, nor before a scheduled call.
  return liveCalls > 0 && ageMs > QUIET_MS
    ? { check, level: 'unknown', message: `${message}; ${live}`, advice: ADVICE }
    : { check, level: 'ok', message };
}
