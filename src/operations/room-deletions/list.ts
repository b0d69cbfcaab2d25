import type { ApiKey } from '../../domain/api-key.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { DeletionCursor, RoomDeletionQuery } from '../../ports/overview-store.ts';
import type { Dependencies } from '../dependencies.ts';

/** Returns a page of the open and discarded deletions of the key's organization, oldest first. `next` is null on the last page. */
export async function listRoomDeletions(
  { store }: Pick<Dependencies, 'store'>,
  { apiKey, limit, ...query }: Omit<RoomDeletionQuery, 'organizationId'> & { apiKey: ApiKey },
): Promise<{ deletions: readonly RoomDeletion[]; next: DeletionCursor | null }> {
  const { organizationId } = apiKey;
  // One more row shows whether a next page exists.
  const loaded = await store.listRoomDeletions({ ...query, organizationId, limit: limit + 1 });
  const deletions = loaded.slice(0, limit);
  return { deletions, next: loaded.length > limit ? (deletions.at(-1) ?? null) : null };
}
