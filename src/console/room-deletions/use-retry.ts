import { useMutation, useQueryClient } from '@tanstack/react-query';
import { statusOf } from '../api/errors.ts';
import { reloadQueries } from '../api/reload.ts';
import { useSameOrganization } from '../api/session.tsx';
import { inTime, trpc } from '../api/trpc.ts';
import { ROOM_DELETIONS_KEY } from './room-deletions.ts';

/** Completed in the meantime, or pruned: the page itself shows the result. */
const GONE = [404, 409];

/** Retries room deletions at once, and loads the lists of room deletions again. */
export function useRetryDeletions() {
  const queryClient = useQueryClient();
  const assertSameOrganization = useSameOrganization();
  return useMutation({
    mutationFn: async (callIds: readonly string[]) => {
      for (const callId of callIds) {
        assertSameOrganization();
        await retryDeletion(callId);
      }
      return callIds;
    },
    onSettled: () => reloadQueries(queryClient, [ROOM_DELETIONS_KEY]),
  });
}

async function retryDeletion(callId: string): Promise<void> {
  try {
    await trpc.roomDeletions.retry.mutate({ callId }, inTime());
  } catch (error) {
    if (!GONE.includes(statusOf(error) ?? 0)) throw error;
  }
}
