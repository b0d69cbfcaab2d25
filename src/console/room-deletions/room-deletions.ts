import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useOnEvent } from '../api/live-events.tsx';
import { loadNextPage, useReload } from '../api/reload.ts';
import { type Inputs, inTime, type Outputs, trpc } from '../api/trpc.ts';

export type RoomDeletion = Outputs['roomDeletions']['list']['roomDeletions'][number];
type State = NonNullable<Inputs['roomDeletions']['list']['state']>[number];

const RELOAD_MS = 2_000;
const NO_DELETIONS: readonly RoomDeletion[] = [];

export const ROOM_DELETIONS_KEY = 'roomDeletions';

/** Room deletions that are not completed, oldest first. */
export interface RoomDeletions {
  readonly deletions: readonly RoomDeletion[];
  readonly isLoading: boolean;
  /** Every deletion is loaded. */
  readonly isComplete: boolean;
  readonly error: unknown;
  readonly retry: () => void;
  /** Null: there are no more. */
  readonly loadMore: (() => void) | null;
}

/** Loads the room deletions, and loads them again after events that change the list. */
export function useRoomDeletions({
  cancellationId,
  state,
  isEnabled = true,
}: {
  /** Only deletions of this cancellation. */
  cancellationId?: string;
  state: State[];
  isEnabled?: boolean;
}): RoomDeletions {
  const queryClient = useQueryClient();
  const queryKey = [ROOM_DELETIONS_KEY, cancellationId ?? null, ...state];
  const { data, error, isPending, hasNextPage, refetch, fetchNextPage } = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) =>
      trpc.roomDeletions.list.query(
        {
          state,
          ...(cancellationId !== undefined && { cancellationId }),
          ...(pageParam !== null && { cursor: pageParam }),
        },
        inTime(signal),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: ({ pagination }) => pagination.nextCursor,
    staleTime: 0,
    enabled: isEnabled,
  });
  const deletions = data?.pages.flatMap((page) => page.roomDeletions) ?? NO_DELETIONS;
  const isIn = (changed: string) => state.some((one) => one === changed);
  // From the cache: the page shows a response later, and an event can arrive in between.
  const isListed = (id: string) =>
    queryClient
      .getQueryData<typeof data>(queryKey)
      ?.pages.some(({ roomDeletions }) => roomDeletions.some(({ callId }) => callId === id)) === true;
  const reload = useReload([queryKey], RELOAD_MS);
  useOnEvent((event) => {
    const isOwn =
      event.type === 'call.room_deletion' &&
      (cancellationId === undefined || event.cancellationId === cancellationId) &&
      (isIn(event.state) || isListed(event.callId) || queryClient.isFetching({ queryKey }) > 0);
    if (isOwn || event.type === 'reset' || event.type === 'opened') reload();
  });
  return {
    deletions,
    isLoading: isEnabled && isPending,
    isComplete: data !== undefined && !hasNextPage,
    error,
    retry: () => void refetch(),
    loadMore: hasNextPage ? () => void loadNextPage(queryClient, queryKey, fetchNextPage) : null,
  };
}
