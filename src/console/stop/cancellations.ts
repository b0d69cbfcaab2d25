import { useQuery } from '@tanstack/react-query';
import { useOnEvent, useStreamState } from '../api/live-events.tsx';
import { useReload } from '../api/reload.ts';
import { inTime, trpc } from '../api/trpc.ts';
import { isOpen } from './progress.ts';

const LIST_LIMIT = 100;
const CANCELLATION_RELOAD_MS = 500;
const LIST_RELOAD_MS = 2_000;
/** Without the event stream, which needs another scope and has a rate limit. */
const POLL_MS = 2_000;

const KEY = 'cancellations';

/** Loads a cancellation, and loads it again after each of its events: an event can be older than a response. */
export function useCancellation(id: string) {
  const isPolled = useIsPolled();
  const queryKey = [KEY, 'one', id];
  const reload = useReload([queryKey], CANCELLATION_RELOAD_MS);
  useOnEvent((event) => {
    const isOwn = 'cancellationId' in event && event.cancellationId === id;
    const isProgress = event.type === 'cancellation.progress' || event.type === 'hold.lifted';
    if ((isOwn && isProgress) || event.type === 'reset' || event.type === 'opened') reload();
  });
  return useQuery({
    queryKey,
    queryFn: ({ signal }) => trpc.cancellations.get.query({ id }, inTime(signal)),
    staleTime: 0,
    refetchInterval: ({ state: { data } }) =>
      isPolled && data !== undefined && isOpen(data) ? POLL_MS : false,
  });
}

/** Loads the newest cancellations, and loads them again after each of their events. */
export function useCancellations() {
  const isPolled = useIsPolled();
  const queryKey = [KEY, 'list'];
  const reload = useReload([queryKey], LIST_RELOAD_MS);
  useOnEvent(({ type }) => {
    if (type === 'cancellation.progress' || type === 'hold.lifted' || type === 'reset' || type === 'opened') {
      reload();
    }
  });
  return useQuery({
    queryKey,
    queryFn: async ({ signal }) => {
      const page = await trpc.cancellations.list.query({ limit: LIST_LIMIT }, inTime(signal));
      return page.cancellations;
    },
    staleTime: 0,
    refetchInterval: isPolled ? 2 * POLL_MS : false,
  });
}

function useIsPolled(): boolean {
  const state = useStreamState();
  return state === 'refused' || state === 'lost' || state === 'limited';
}
