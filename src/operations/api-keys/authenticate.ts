import { createHash } from 'node:crypto';
import { type ApiKey, isActive, isApiKeyFormat, shouldRecordUse } from '../../domain/api-key.ts';
import type { Dependencies } from '../dependencies.ts';

/** Returns the API key of a request; null if it is unknown, revoked or expired. */
export async function authenticate(
  { store, clock, log }: Pick<Dependencies, 'store' | 'clock' | 'log'>,
  apiKeyHeader: string | null,
): Promise<ApiKey | null> {
  if (apiKeyHeader === null || !isApiKeyFormat(apiKeyHeader)) return null;
  const key = await store.findApiKey(hashKey(apiKeyHeader));
  const now = clock.now();
  if (key === null || !isActive(key, now)) return null;
  if (shouldRecordUse(key, now)) {
    // Not awaited: a full disk or another process's lock must not delay reads.
    store.recordApiKeyUse({ id: key.id, now }).catch((error: unknown) => {
      log.warn({ err: error, keyId: key.id }, 'failed to record the last use of an API key');
    });
  }
  return key;
}

/** Returns the SHA-256 of the complete key, in lower-case hex: the store has only this hash. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
