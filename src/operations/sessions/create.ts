import type { ApiKey } from '../../domain/api-key.ts';
import type { Timestamp } from '../../domain/time.ts';
import { authenticate, hashKey } from '../api-keys/authenticate.ts';
import type { Dependencies } from '../dependencies.ts';
import { formatToken } from './token.ts';

const SESSION_MS = 12 * 3_600_000;

export interface Session {
  readonly apiKey: ApiKey;
  /** Contains the id of the API key, never the key itself. */
  readonly token: string;
  readonly expiresAt: Timestamp;
}

/** Exchanges an API key for a session, which ends with the key. Returns null if the key is unknown, revoked or expired. */
export async function createSession(
  dependencies: Pick<Dependencies, 'store' | 'clock' | 'log'>,
  { key, signingKey }: { key: string; signingKey: Uint8Array },
): Promise<Session | null> {
  const apiKey = await authenticate(dependencies, key);
  if (apiKey === null) return null;
  const expiresAt = Math.min(dependencies.clock.now() + SESSION_MS, apiKey.expiresAt ?? Infinity);
  const token = formatToken(signingKey, { keyId: apiKey.id, keyHash: hashKey(key), expiresAt });
  return { apiKey, token, expiresAt };
}
