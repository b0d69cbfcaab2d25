import { createHash } from 'node:crypto';
import { type ApiKey, isActive, isApiKeyFormat, shouldRecordUse } from '../../domain/api-key.ts';
import type { Dependencies } from '../dependencies.ts';

/** The key that a request showed, if it is one of ours and may be used now. */
export async function authenticate(
  { store, clock, log }: Pick<Dependencies, 'store' | 'clock' | 'log'>,
  presented: string | null,
): Promise<ApiKey | null> {
  if (presented === null || !isApiKeyFormat(presented)) return null;
  const key = await store.findApiKey(hashKey(presented));
  const now = clock.now();
  if (key === null || !isActive(key, now)) return null;
  if (shouldRecordUse(key, now)) {
    // Neither a full disk nor a lock that another process holds may keep readers waiting.
    store.recordApiKeyUse({ id: key.id, now }).catch((error: unknown) => {
      log.warn({ err: error, keyId: key.id }, 'the last use of an API key could not be recorded');
    });
  }
  return key;
}

/** SHA-256 of the whole key, lower-case hex: what the store keeps. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
