import type { Dependencies } from '../dependencies.ts';

/** Logs a warning if calls are live and no webhook was ever received. */
export async function warnIfNoWebhooks({
  store,
  log,
}: Pick<Dependencies, 'store' | 'log'>): Promise<{ warned: boolean }> {
  const { hasEvents, hasLiveCalls } = await store.getWebhookActivity();
  if (hasEvents || !hasLiveCalls) return { warned: false };
  log.warn(
    {
      hints: [
        'the address under `webhook.urls` in the LiveKit configuration must be /webhooks/livekit of this server',
        '`webhook.api_key` there must be the key in LIVEKIT_API_KEY or LIVEKIT_WEBHOOK_KEYS here',
        'LiveKit must be able to reach this server: check HOST, firewall and proxy',
      ],
    },
    'live calls exist but no LiveKit webhook was ever received; statuses are updated by reconciliation only',
  );
  return { warned: true };
}
