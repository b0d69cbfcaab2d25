import type { ApiKey } from '../../domain/api-key.ts';
import type { CallPage, CallQuery } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

/** Returns a page of the calls of the API key's organization. */
export function listCalls(
  { store }: Pick<Dependencies, 'store'>,
  { apiKey, query }: { apiKey: ApiKey; query: Omit<CallQuery, 'organizationId'> },
): Promise<CallPage> {
  return store.listCalls({ ...query, organizationId: apiKey.organizationId });
}
