import type { ApiKey } from '../../domain/api-key.ts';
import type { CallRoom } from '../../ports/overview-store.ts';
import type { CallListItem, CallPage, CallQuery } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

/** A listed call; without `room` unless the list includes rooms. */
export type ListedCall = CallListItem & { readonly room?: CallRoom };

/** Returns a page of the calls of the API key's organization. */
export async function listCalls(
  { store }: Pick<Dependencies, 'store'>,
  {
    apiKey,
    query,
    withRooms,
  }: { apiKey: ApiKey; query: Omit<CallQuery, 'organizationId'>; withRooms: boolean },
): Promise<CallPage & { readonly calls: readonly ListedCall[] }> {
  const page = await store.listCalls({ ...query, organizationId: apiKey.organizationId });
  if (!withRooms) return page;
  return { ...page, calls: await addRooms({ store }, page.calls) };
}

/** Adds the rooms, in a second read. A call that was deleted between the two reads is left out. */
export async function addRooms(
  { store }: Pick<Dependencies, 'store'>,
  calls: readonly CallListItem[],
): Promise<(CallListItem & { readonly room: CallRoom })[]> {
  const rooms = await store.findRooms(calls.map(({ id }) => id));
  return calls.flatMap((call) => {
    const room = rooms.get(call.id);
    return room === undefined ? [] : [{ ...call, room }];
  });
}
