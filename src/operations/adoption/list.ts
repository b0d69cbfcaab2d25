import type { ApiKey } from '../../domain/api-key.ts';
import type { AdoptionPrefix } from '../../ports/adoption-store.ts';
import type { Dependencies } from '../dependencies.ts';

/** Returns the adoption prefixes of the key's organization, in alphabetical order. */
export async function listAdoptionPrefixes(
  { store }: Pick<Dependencies, 'store'>,
  { organizationId }: ApiKey,
): Promise<readonly AdoptionPrefix[]> {
  const all = await store.listAdoptionPrefixes();
  return all.filter((prefix) => prefix.organizationId === organizationId);
}
