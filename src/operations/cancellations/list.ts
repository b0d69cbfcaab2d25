import type { ApiKey } from '../../domain/api-key.ts';
import type { Cancellation } from '../../domain/cancellation.ts';
import type { CancellationCursor } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

/** Returns a page of the cancellations of the key's organization, newest first. `next` is null on the last page. */
export async function listCancellations(
  { store }: Pick<Dependencies, 'store'>,
  { apiKey, limit, after }: { apiKey: ApiKey; limit: number; after: CancellationCursor | null },
): Promise<{ cancellations: readonly Cancellation[]; next: CancellationCursor | null }> {
  const { organizationId } = apiKey;
  // One more row shows whether a next page exists.
  const loaded = await store.listCancellations({ organizationId, after, limit: limit + 1 });
  const cancellations = loaded.slice(0, limit);
  return { cancellations, next: loaded.length > limit ? (cancellations.at(-1) ?? null) : null };
}
