import { AccessToken, type VideoGrant } from 'livekit-server-sdk';
import type { Timestamp } from '../../domain/time.ts';
import type { LiveKitKeyPair } from '../../ports/livekit.ts';
import type { Clock } from '../../ports/system.ts';

/** Long enough that a token stays valid when the clock is an hour behind LiveKit's. */
const TOKEN_TTL = '2h';
/** Leaves more than an hour of the lifetime, for a wrong clock. */
const MAX_REUSE_MS = 10 * 60_000;

/** Returns a token with the grant. */
export type AccessTokens = (grant: VideoGrant) => Promise<string>;

/**
 * Signs access tokens, and reuses a token without a room for 10 minutes. A token is signed again if the clock was set back
 * or far ahead since, because LiveKit could refuse the old one.
 */
export function createAccessTokens({ apiKey, apiSecret }: LiveKitKeyPair, clock: Clock): AccessTokens {
  const signed = new Map<string, { readonly token: string; readonly at: Timestamp }>();

  function sign(grant: VideoGrant): Promise<string> {
    const token = new AccessToken(apiKey, apiSecret, { ttl: TOKEN_TTL });
    token.addGrant(grant);
    return token.toJwt();
  }

  return async (grant) => {
    if (grant.room !== undefined) return sign(grant);
    const key = JSON.stringify(grant);
    const now = clock.now();
    const kept = signed.get(key);
    if (kept !== undefined && kept.at <= now && now - kept.at < MAX_REUSE_MS) return kept.token;
    const token = await sign(grant);
    signed.set(key, { token, at: now });
    return token;
  };
}
