import type { Timestamp } from './time.ts';

export const SCOPES = ['calls:read', 'calls:write', 'calls:cancel'] as const;
export type Scope = (typeof SCOPES)[number];

/** What hangup keeps of a key: never the key itself, only the SHA-256 of it. */
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
/** 256 random bits, so no attack on the hash is faster than guessing: a plain SHA-256 is enough. */
export const KEY_SECRET_BYTES = 32;
const KEY_SHAPE = /^hangup_live_[A-Za-z0-9_-]{43}$/;

/** The key as its owner sees it, once. `secret` is {@link KEY_SECRET_BYTES} random bytes as base64url. */
export function formatKey(secret: string): string {
  return `${PREFIX}${secret}`;
}

/** Whether a header value can be a key of ours at all; what is not is never hashed or looked up. */
export function isApiKeyFormat(text: string): boolean {
  return KEY_SHAPE.test(text);
}

export function isActive(key: ApiKey, now: Timestamp): boolean {
  return key.revokedAt === null && (key.expiresAt === null || now < key.expiresAt);
}

const USE_RECORDED_EVERY_MS = 60_000;

export function shouldRecordUse(key: ApiKey, now: Timestamp): boolean {
  // The distance, not the order: after the clock was set back a use is still recorded.
  return key.lastUsedAt === null || Math.abs(now - key.lastUsedAt) >= USE_RECORDED_EVERY_MS;
}
