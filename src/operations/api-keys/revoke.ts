import type { ApiKey } from '../../domain/api-key.ts';
import { apiKeyNotFound } from '../../domain/errors.ts';
import type { Dependencies } from '../dependencies.ts';

/** Revokes a key of the author's organization. @throws RequestError not_found, also for a key of another organization */
export async function revokeApiKey(
  { store, clock, log }: Pick<Dependencies, 'store' | 'clock' | 'log'>,
  { id, author }: { id: string; author: ApiKey },
): Promise<ApiKey> {
  const revoked = await store.revokeApiKey({ id, author, now: clock.now() });
  if (revoked === null) throw apiKeyNotFound();
  log.info({ keyId: author.id, revokedKeyId: id }, 'API key revoked');
  return revoked;
}
