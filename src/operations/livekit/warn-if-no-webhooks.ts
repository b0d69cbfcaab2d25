import type { Dependencies } from '../dependencies.ts';

/** Says that there are live calls and no webhook ever came. @returns whether it was said */
export async function warnIfNoWebhooks({
  store,
  log,
}: Pick<Dependencies, 'store' | 'log'>): Promise<{ said: boolean }> {
  const { hasEvents, hasLiveCalls } = await store.getWebhookActivity();
  if (hasEvents || !hasLiveCalls) return { said: false };
  log.warn(
    {
      check: [
        "the address under `webhook.urls` in LiveKit's configuration: this server's, and /webhooks/livekit",
        '`webhook.api_key` there: the key named in LIVEKIT_API_KEY or LIVEKIT_WEBHOOK_KEYS here',
        'that LiveKit reaches this server: HOST, firewall, proxy',
      ],
    },
    'there are live calls, and no webhook of LiveKit has ever come: statuses move late, by comparing',
  );
  return { said: true };
}
