import { createHash } from 'node:crypto';
import { TokenVerifier } from 'livekit-server-sdk';
import { parseJson } from '../domain/json.ts';
import { checkClaims, type WebhookClaims, type WebhookRefusal } from '../domain/webhook-refusal.ts';
import type { LiveKitKeyPair } from '../ports/livekit.ts';
import type { Clock } from '../ports/system.ts';

const JWT = /^[\w-]+\.([\w-]+)\.[\w-]*$/;
/** An API key id that is safe to log. */
const PLAIN_API_KEY = /^[\x21-\x7e]{1,64}$/;

/** Verifies the signed token of a webhook against the raw body. Resolves to null for an accepted webhook. */
type WebhookVerifier = (body: Uint8Array, token: string | undefined) => Promise<WebhookRefusal | null>;

/** Creates a verifier that accepts signatures with any of these keys. */
export function createWebhookVerifier(keys: readonly LiveKitKeyPair[], clock: Clock): WebhookVerifier {
  const verifiers = keys.map(({ apiKey, apiSecret }) => new TokenVerifier(apiKey, apiSecret));
  return async (body, token) => {
    const [, payload] = JWT.exec(token ?? '') ?? [];
    if (token === undefined || payload === undefined) return { reason: 'missing_token' };
    // Without a valid signature the claims are untrusted, so the signature is checked first.
    const claims = await verifiedClaims(verifiers, token);
    if (claims === null) return badSignature(payload, keys);
    const bodySha256 = createHash('sha256').update(body).digest('base64');
    return checkClaims(claims, { now: clock.now(), bodySha256 });
  };
}

/** Returns the claims of a token that one of the keys signed, expired or not; null for any other token. */
async function verifiedClaims(
  verifiers: readonly TokenVerifier[],
  token: string,
): Promise<WebhookClaims | null> {
  for (const verifier of verifiers) {
    try {
      const { nbf, exp, sha256 } = await verifier.verify(token, Number.POSITIVE_INFINITY);
      // The verifier requires `exp`, but its type allows undefined.
      if (exp !== undefined) return { nbf, exp, sha256 };
    } catch {
      // Signed with another key, or not a token of LiveKit.
    }
  }
  return null;
}

function badSignature(payload: string, keys: readonly LiveKitKeyPair[]): WebhookRefusal {
  const issuer = issuerOf(payload);
  // A sender that confuses key and secret puts the secret into the token.
  const isLoggable = PLAIN_API_KEY.test(issuer) && !keys.some(({ apiSecret }) => issuer.includes(apiSecret));
  return {
    reason: 'bad_signature',
    livekitApiKey: isLoggable ? issuer : null,
    isLivekitApiKeyConfigured: keys.some(({ apiKey }) => apiKey === issuer),
  };
}

/** Returns the claim `iss` of an unverified token; empty if it has none. */
function issuerOf(payload: string): string {
  const claims = parseJson(Buffer.from(payload, 'base64url').toString());
  const issuer = typeof claims === 'object' && claims !== null && 'iss' in claims ? claims.iss : null;
  return typeof issuer === 'string' ? issuer : '';
}
