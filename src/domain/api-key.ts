import type { Timestamp } from './time.ts';

export const SCOPES = ['calls:read', 'calls:write', 'calls:cancel', 'calls:stop', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** An API key as hangup stores it: the SHA-256 hash, never the key itself. */
export interface ApiKey {
  readonly id: string;
  readonly organizationId: string;
  readonly organizationName: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: Timestamp;
  readonly expiresAt: Timestamp | null;
  readonly revokedAt: Timestamp | null;
  /** Written at most once a minute. */
  readonly lastUsedAt: Timestamp | null;
}

const PREFIX = 'hangup_live_';
/** 256 random bits: a plain SHA-256 is enough, because guessing is infeasible. */
export const KEY_SECRET_BYTES = 32;
const API_KEY_PATTERN = /^hangup_live_[A-Za-z0-9_-]{43}$/;

/** Returns the key in the form that its owner receives. `secret` is {@link KEY_SECRET_BYTES} random bytes in base64url. */
export function formatKey(secret: string): string {
  return `${PREFIX}${secret}`;
}

/** True if a header value has the format of a key. Other values are never hashed or looked up. */
export function isApiKeyFormat(text: string): boolean {
  return API_KEY_PATTERN.test(text);
}

/** True unless the key is revoked or expired. */
export function isActive(key: ApiKey, now: Timestamp): boolean {
  return key.revokedAt === null && (key.expiresAt === null || now < key.expiresAt);
}

const LAST_USED_RESOLUTION_MS = 60_000;

/** True if the key's `lastUsedAt` is at least a minute old. */
export function shouldRecordUse(key: ApiKey, now: Timestamp): boolean {
  // The absolute difference: after the clock was set back, a use is still recorded.
  return key.lastUsedAt === null || Math.abs(now - key.lastUsedAt) >= LAST_USED_RESOLUTION_MS;
}
