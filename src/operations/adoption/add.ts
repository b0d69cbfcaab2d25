import type { ApiKey } from '../../domain/api-key.ts';
import { adoptionPrefixTaken } from '../../domain/errors.ts';
import type { AdoptionPrefix } from '../../ports/adoption-store.ts';
import type { Dependencies } from '../dependencies.ts';

/**
 * Adds an adoption prefix to the author's organization. Adding again has no further effect.
 * @throws RequestError conflict if another organization has the prefix, or a prefix that the new one begins with: because the
 *   longest prefix wins, the new one would take rooms away from that organization
 */
export async function addAdoptionPrefix(
  { store, clock, random, log }: Pick<Dependencies, 'store' | 'clock' | 'random' | 'log'>,
  { prefix, author }: { prefix: string; author: ApiKey },
): Promise<Pick<AdoptionPrefix, 'prefix' | 'createdAt'>> {
  const { organizationId, organizationName } = author;
  const findOwn = async () => {
    const all = await store.listAdoptionPrefixes();
    const others = all.filter((other) => other.organizationId !== organizationId);
    if (others.some((other) => prefix.startsWith(other.prefix))) throw adoptionPrefixTaken();
    return all.find((own) => own.prefix === prefix);
  };
  const existing = await findOwn();
  if (existing !== undefined) return existing;
  const now = clock.now();
  const organizationIdIfNew = random.id('org');
  const result = await store.addAdoptionPrefix({
    prefix,
    organizationName,
    organizationIdIfNew,
    author,
    now,
  });
  if (result === 'added') {
    log.info({ keyId: author.id, prefix }, 'adoption prefix added');
    return { prefix, createdAt: now };
  }
  // Another request has added the prefix since.
  const added = await findOwn();
  if (added === undefined) throw adoptionPrefixTaken();
  return added;
}
