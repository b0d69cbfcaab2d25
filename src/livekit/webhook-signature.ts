import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import { TokenVerifier } from 'livekit-server-sdk';
import { parseJson } from '../domain/json.ts';
import { checkClaims, type WebhookClaims, type WebhookRefusal } from '../domain/webhook-refusal.ts';
import type { LiveKitKeyPair } from '../ports/livekit.ts';
import type { Clock } from '../ports/system.ts';

const JWT = /^([\w-]+)\.([\w-]+)\.([\w-]*)$/;
/** An API key id that is safe to log. */
const PLAIN_API_KEY = /^[\x21-\x7e]{1,64}$/;

/** The encoded headers of LiveKit's server and of its SDKs. */
const USUAL_HEADERS: ReadonlySet<string> = new Set(
  [{ alg: 'HS256', typ: 'JWT' }, { alg: 'HS256' }].map((header) =>
    Buffer.from(JSON.stringify(header)).toString('base64url'),
  ),
);

/** Verifies the signed token of a webhook against the raw body. Returns null for an accepted webhook. */
type WebhookVerifier = (
  body: Uint8Array,
  token: string | undefined,
) => WebhookRefusal | null | Promise<WebhookRefusal | null>;

interface VerificationKey extends LiveKitKeyPair {
  readonly hmacKey: KeyObject;
  readonly verifier: TokenVerifier;
}

/** Creates a verifier that accepts signatures with any of these keys. */
export function createWebhookVerifier(pairs: readonly LiveKitKeyPair[], clock: Clock): WebhookVerifier {
  const keys = pairs.map(({ apiKey, apiSecret }) => ({
    apiKey,
    apiSecret,
    hmacKey: createSecretKey(apiSecret, 'utf8'),
    verifier: new TokenVerifier(apiKey, apiSecret),
  }));
  const check = (claims: WebhookClaims, body: Uint8Array) =>
    checkClaims(claims, { now: clock.now(), bodySha256: hash('sha256', body, 'base64') });

  return (body, token) => {
    const [, header = '', payload = '', signature = ''] = JWT.exec(token ?? '') ?? [];
    if (token === undefined || payload === '') return { reason: 'missing_token' };
    // Without a valid signature the claims are untrusted, so the signature is checked first.
    const claims = usualClaims(keys, { header, payload, signature });
    if (claims !== null) return check(claims, body);
    return verifiedClaims(keys, token).then((verified) =>
      verified === null ? badSignature(payload, keys) : check(verified, body),
    );
  };
}

const decoder = new TextDecoder();

/**
 * Returns the claims of a token in the form that LiveKit sends, in a tenth of the SDK's time. Null for every other token:
 * the SDK decides. Every token that passes here also passes the SDK.
 */
function usualClaims(
  keys: readonly VerificationKey[],
  { header, payload, signature }: { header: string; payload: string; signature: string },
): WebhookClaims | null {
  if (!USUAL_HEADERS.has(header)) return null;
  const actual = Buffer.from(signature, 'latin1');
  for (const { apiKey, hmacKey } of keys) {
    const expected = createHmac('sha256', hmacKey).update(`${header}.${payload}`).digest('base64url');
    if (expected.length !== actual.length) return null;
    if (!timingSafeEqual(Buffer.from(expected, 'latin1'), actual)) continue;
    const claims = parseJson(decoder.decode(Buffer.from(payload, 'base64url')));
    if (typeof claims !== 'object' || claims === null) return null;
    const { iss, iat, nbf, exp, sha256 } = claims as Readonly<Record<string, unknown>>;
    if (iss === apiKey && isTimeOrAbsent(iat) && isTimeOrAbsent(nbf) && isTime(exp)) {
      return { nbf, exp, sha256 };
    }
  }
  return null;
}

const isTime = (value: unknown): value is number => Number.isFinite(value);
const isTimeOrAbsent = (value: unknown): value is number | undefined => value === undefined || isTime(value);

/** Returns the claims of a token that one of the keys signed, expired or not; null for any other token. */
async function verifiedClaims(
  keys: readonly VerificationKey[],
  token: string,
): Promise<WebhookClaims | null> {
  for (const { verifier } of keys) {
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
