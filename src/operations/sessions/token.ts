import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { Timestamp } from '../../domain/time.ts';

/** Separates these keys from other keys of the same secret. A new label ends all sessions. */
const LABEL = 'hangup console session v1';
const TOKEN = /^([A-Za-z0-9_-]{1,128})\.([1-9]\d{0,14})\.([A-Za-z0-9_-]{43})$/;

/** The claims of a token, which are not verified: see {@link isAuthentic}. */
export interface SessionToken {
  readonly keyId: string;
  readonly expiresAt: Timestamp;
  readonly signature: string;
}

/** Returns the key that signs sessions. @param secret a secret of the settings: all processes of a fleet derive the same key */
export function deriveSigningKey(secret: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', LABEL, 32));
}

/** Returns the token of a session. The signature includes the hash of the API key, which only the database has. */
export function formatToken(
  signingKey: Uint8Array,
  { keyId, keyHash, expiresAt }: { keyId: string; keyHash: string; expiresAt: Timestamp },
): string {
  return `${keyId}.${expiresAt}.${sign(signingKey, { keyId, keyHash, expiresAt })}`;
}

/** Returns null for a text that is not a token. */
export function parseToken(text: string): SessionToken | null {
  const [, keyId, expiresAt, signature] = TOKEN.exec(text) ?? [];
  if (keyId === undefined || expiresAt === undefined || signature === undefined) return null;
  return { keyId, expiresAt: Number(expiresAt), signature };
}

/** Returns whether hangup signed the token for the API key with this hash. */
export function isAuthentic(
  signingKey: Uint8Array,
  { keyId, expiresAt, signature }: SessionToken,
  keyHash: string,
): boolean {
  const expected = sign(signingKey, { keyId, keyHash, expiresAt });
  // Compares the texts: several texts decode to the same bytes.
  return timingSafeEqual(Buffer.from(signature), Buffer.from(expected));
}

function sign(
  signingKey: Uint8Array,
  { keyId, keyHash, expiresAt }: { keyId: string; keyHash: string; expiresAt: Timestamp },
): string {
  return createHmac('sha256', signingKey).update(`${keyId}.${expiresAt}.${keyHash}`).digest('base64url');
}
