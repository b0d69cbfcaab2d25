import type { ApiKey } from '../../domain/api-key.ts';
import { adoptionPrefixNotFound } from '../../domain/errors.ts';
import type { Dependencies } from '../dependencies.ts';

/** Removes an adoption prefix of the author's organization. @throws RequestError not_found, also for that of another one */
export async function removeAdoptionPrefix(
  { store, clock, log }: Pick<Dependencies, 'store' | 'clock' | 'log'>,
  { prefix, author }: { prefix: string; author: ApiKey },
): Promise<void> {
  const wasRemoved = await store.removeAdoptionPrefix({ prefix, author, now: clock.now() });
  if (!wasRemoved) throw adoptionPrefixNotFound();
  log.info({ keyId: author.id, prefix }, 'adoption prefix removed');
}
