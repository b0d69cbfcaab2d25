import { hash } from 'node:crypto';
import { type ApiKey, isActive, isApiKeyFormat, shouldRecordUse } from '../../domain/api-key.ts';
import type { CallRecord } from '../../ports/store.ts';
import { isCallId } from '../calls/authorize.ts';
import type { Dependencies } from '../dependencies.ts';

type AuthenticateDependencies = Pick<Dependencies, 'store' | 'clock' | 'log'>;

/** Returns the API key of a request; null if it is unknown, revoked or expired. */
export async function authenticate(
  dependencies: AuthenticateDependencies,
  apiKeyHeader: string | null,
): Promise<ApiKey | null> {
  if (apiKeyHeader === null || !isApiKeyFormat(apiKeyHeader)) return null;
  return useKey(dependencies, await dependencies.store.findApiKey(hashKey(apiKeyHeader)));
}

/** Returns the API key of a request with the call of a call id. One read of the store takes half of the time of two. */
export async function authenticateWithCall(
  dependencies: AuthenticateDependencies,
  { apiKeyHeader, callId }: { apiKeyHeader: string | null; callId: string },
): Promise<{ apiKey: ApiKey | null; record: CallRecord | null }> {
  if (apiKeyHeader === null || !isApiKeyFormat(apiKeyHeader) || !isCallId(callId)) {
    return { apiKey: await authenticate(dependencies, apiKeyHeader), record: null };
  }
  const keyHash = hashKey(apiKeyHeader);
  const { apiKey, record } = await dependencies.store.findKeyAndCall({ keyHash, callId });
  return { apiKey: useKey(dependencies, apiKey), record };
}

/** Returns the key if it is active, and records its use. */
export function useKey({ store, clock, log }: AuthenticateDependencies, key: ApiKey | null): ApiKey | null {
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
  return hash('sha256', key);
}
