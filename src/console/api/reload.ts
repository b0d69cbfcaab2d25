import { type QueryClient, type QueryFilters, type QueryKey, useQueryClient } from '@tanstack/react-query';
import { useThrottled } from './throttle.ts';

/** Loads the queries of a key again. */
export function reloadQueries(queryClient: QueryClient, queryKey: QueryKey): Promise<void> {
  return reloadMatching(queryClient, { queryKey });
}

/** Loads queries again. */
export async function reloadMatching(
  queryClient: QueryClient,
  filters: Pick<QueryFilters, 'queryKey' | 'predicate'>,
): Promise<void> {
  // The response of an open request can be older than the reason of the reload. To cancel such requests could starve a slow
  // one, and a first one cannot be cancelled.
  await queryClient.refetchQueries({ ...filters, fetchStatus: 'fetching' }, { cancelRefetch: false });
  await queryClient.invalidateQueries(filters);
}

/** Loads the next page of a list. This ends an open reload of the list, which then follows. */
export async function loadNextPage(
  queryClient: QueryClient,
  queryKey: QueryKey,
  fetchNextPage: () => Promise<unknown>,
): Promise<void> {
  const isReloading = queryClient.isFetching({ queryKey }) > 0;
  await fetchNextPage();
  if (isReloading) await reloadQueries(queryClient, queryKey);
}

/** Returns a function that loads the queries of the keys again: at once, and at most once per interval. */
export function useReload(queryKeys: readonly QueryKey[], intervalMs: number): () => void {
  const queryClient = useQueryClient();
  return useThrottled(
    () => Promise.all(queryKeys.map((queryKey) => reloadQueries(queryClient, queryKey))),
    intervalMs,
  );
}
