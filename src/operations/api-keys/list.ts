import type { ApiKey } from '../../domain/api-key.ts';
import type { Dependencies } from '../dependencies.ts';

export const MAX_LISTED_KEYS = 1_000;

/** Returns the keys of the organization of a key: those that are not revoked first, and the newest of both first. */
export function listApiKeys(
  { store }: Pick<Dependencies, 'store'>,
  { organizationId }: ApiKey,
): Promise<readonly ApiKey[]> {
  return store.listApiKeysOf({ organizationId, limit: MAX_LISTED_KEYS });
}
