import type { ApiKey } from '../../domain/api-key.ts';
import { useKey } from '../api-keys/authenticate.ts';
import type { Dependencies } from '../dependencies.ts';
import { isAuthentic, parseToken } from './token.ts';

/** Returns the API key of a session; null if the session has expired, or the key is revoked or has expired. */
export async function authenticateSession(
  dependencies: Pick<Dependencies, 'store' | 'clock' | 'log'>,
  { token, signingKey }: { token: string; signingKey: Uint8Array },
): Promise<ApiKey | null> {
  const parsed = parseToken(token);
  if (parsed === null || dependencies.clock.now() >= parsed.expiresAt) return null;
  const found = await dependencies.store.findApiKeyById(parsed.keyId);
  if (found === null || !isAuthentic(signingKey, parsed, found.hash)) return null;
  return useKey(dependencies, found.apiKey);
}
