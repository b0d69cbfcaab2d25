import { useQuery } from '@tanstack/react-query';
import { useScope } from '../api/session.tsx';
import { inTime, trpc } from '../api/trpc.ts';
import { RoomDeletionList } from '../room-deletions/room-deletion-list.tsx';
import { useRoomDeletions } from '../room-deletions/room-deletions.ts';
import { texts } from '../texts.ts';
import { ErrorMessage, Loading, MissingScope } from '../ui/messages.tsx';
import { Card, Page } from '../ui/page.tsx';
import { Charts } from './charts.tsx';
import { Checks } from './checks.tsx';
import { REFRESH } from './refresh.ts';
import { Tiles } from './tiles.tsx';

/** The state of hangup and LiveKit, the rooms that should be gone, the last hour, and the doctor's checks. */
export function HealthPage() {
  const mayRead = useScope('calls:read');
  return (
    <Page title={texts.navigation.health}>
      {mayRead ? <ReadableHealth /> : <MissingScope scope="calls:read" />}
      <Checks />
    </Page>
  );
}

function ReadableHealth() {
  const { health } = texts;
  const { data, error, refetch } = useQuery({
    queryKey: ['health', 'now'],
    queryFn: ({ signal }) => trpc.health.get.query(undefined, inTime(signal)),
    ...REFRESH,
  });
  const deletions = useRoomDeletions({ state: ['available', 'running', 'retryable', 'discarded'] });
  return (
    <>
      {error !== null && <ErrorMessage error={error} onRetry={() => void refetch()} />}
      {data !== undefined ? <Tiles health={data} /> : error === null && <Loading />}
      <Card title={health.deletions.title}>
        <RoomDeletionList
          deletions={deletions}
          empty={<p className="text-sm text-muted">{health.deletions.none}</p>}
        />
      </Card>
      <section aria-labelledby="last-hour" className="flex flex-col gap-3">
        <h2 id="last-hour" className="text-base font-semibold">
          {health.chart.title}
        </h2>
        <Charts />
      </section>
    </>
  );
}
