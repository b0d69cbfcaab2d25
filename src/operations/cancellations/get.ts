import type { ApiKey } from '../../domain/api-key.ts';
import type { Cancellation } from '../../domain/cancellation.ts';
import { cancellationNotFound } from '../../domain/errors.ts';
import type { Dependencies } from '../dependencies.ts';

/** Returns a cancellation of the key's organization. @throws RequestError not_found */
export async function getCancellation(
  { store }: Pick<Dependencies, 'store'>,
  { id, apiKey }: { id: string; apiKey: ApiKey },
): Promise<Cancellation> {
  const cancellation = await store.findCancellation(id);
  if (cancellation === null || cancellation.organizationId !== apiKey.organizationId) {
    throw cancellationNotFound();
  }
  return cancellation;
}
