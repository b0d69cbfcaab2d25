import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { isLive } from '../api/call.ts';
import { loadNextPage } from '../api/reload.ts';
import { inTime, type Outputs, trpc } from '../api/trpc.ts';
import { KeyName } from '../keys/key-name.tsx';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { ErrorMessage, Loading } from '../ui/messages.tsx';
import { Card } from '../ui/page.tsx';
import { StatusBadge } from '../ui/status-badge.tsx';
import { Time } from '../ui/time.tsx';
import { CancellationLink, Explained } from './call-facts.tsx';
import { explainReason } from './explain.ts';

type Event = Outputs['calls']['events']['events'][number];

const PAGE_SIZE = 100;
const words = texts.call;

/** Every event of the call's audit log, with its actor and reason. */
export function Timeline({ callId }: { callId: string }) {
  const queryClient = useQueryClient();
  const queryKey = ['callEvents', callId];
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) =>
      trpc.calls.events.query({ callId, limit: PAGE_SIZE, cursor: pageParam }, inTime(signal)),
    initialPageParam: null as string | null,
    getNextPageParam: ({ pagination }) => pagination.nextCursor,
    staleTime: 0,
  });
  const events = data?.pages.flatMap((page) => page.events) ?? [];
  return (
    <Card title={words.timeline}>
      {error !== null && <ErrorMessage error={error} onRetry={() => void refetch()} />}
      {data === undefined && error === null && <Loading />}
      {data !== undefined && events.length === 0 && (
        <p className="text-sm text-muted">{words.timelineEmpty}</p>
      )}
      <ol className="flex flex-col">
        {events.map((event, index) => (
          <TimelineEvent key={event.id} event={event} isLast={index === events.length - 1 && !hasNextPage} />
        ))}
      </ol>
      {hasNextPage && (
        <Button
          isBusy={isFetchingNextPage}
          onClick={() => void loadNextPage(queryClient, queryKey, fetchNextPage)}
        >
          {words.timelineMore}
        </Button>
      )}
    </Card>
  );
}

function TimelineEvent({ event, isLast }: { event: Event; isLast: boolean }) {
  const { at, action, from, to, reason, cancellationId } = event;
  const isEnd = to !== null && !isLive(to);
  return (
    <li className="flex gap-3 text-sm">
      <span aria-hidden="true" className="flex flex-col items-center">
        <span className={`mt-1.5 size-2.5 shrink-0 rounded-full ${isEnd ? 'bg-danger' : 'bg-line-strong'}`} />
        {!isLast && <span className="w-px flex-1 bg-line" />}
      </span>
      <div className={`flex min-w-0 flex-1 flex-col gap-0.5 ${isLast ? '' : 'pb-4'}`}>
        <div className="flex flex-wrap items-center justify-between gap-x-3 gap-y-0.5">
          <span className="flex flex-wrap items-center gap-1.5 font-medium">
            {words.actions[action] ?? action}
            {from !== null && <StatusBadge status={from} />}
            {from !== null && to !== null && <span aria-hidden="true">{'→'}</span>}
            {to !== null && <StatusBadge status={to} />}
          </span>
          <span className="text-xs text-muted">
            <Time iso={at} />
          </span>
        </div>
        <Actor event={event} />
        {reason !== null && (
          <p className="[overflow-wrap:anywhere]">
            <Explained text={reason} explanation={explainReason(reason)} />
          </p>
        )}
        {cancellationId !== null && (
          <p className="[overflow-wrap:anywhere]">
            <span className="text-muted">{words.cancellation}</span> <CancellationLink id={cancellationId} />
          </p>
        )}
      </div>
    </li>
  );
}

function Actor({ event: { actor, actorId } }: { event: Event }) {
  return (
    <p className="[overflow-wrap:anywhere] text-muted">
      {words.by} {words.actors[actor] ?? actor}
      {actorId !== null && (
        <>
          {' '}
          {actor === 'api_key' ? (
            <KeyName id={actorId} />
          ) : (
            <span className="font-mono text-xs">{actorId}</span>
          )}
        </>
      )}
    </p>
  );
}
