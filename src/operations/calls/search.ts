import type { ApiKey } from '../../domain/api-key.ts';
import type { SearchTerms } from '../../domain/call-search.ts';
import type { CallRoom } from '../../ports/overview-store.ts';
import type { CallListItem } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { addRooms } from './list.ts';

/** Returns the newest calls of the key's organization that match, with their rooms. */
export async function searchCalls(
  { store }: Pick<Dependencies, 'store'>,
  { apiKey: { organizationId }, ...search }: { apiKey: ApiKey; terms: SearchTerms; limit: number },
): Promise<readonly (CallListItem & { readonly room: CallRoom })[]> {
  return addRooms({ store }, await store.searchCalls({ ...search, organizationId }));
}
