import { Link, useSearch } from 'wouter';
import { useLiveAgents } from '../api/agents.ts';
import { useScope } from '../api/session.tsx';
import { texts } from '../texts.ts';
import { buttonClass } from '../ui/button.tsx';
import { GetScope } from '../ui/get-scope.tsx';
import { MissingScope } from '../ui/messages.tsx';
import { Card, Page } from '../ui/page.tsx';
import { useCancellations } from './cancellations.ts';
import { isOpen } from './progress.ts';
import { parseLink } from './selection.ts';
import { StopForm } from './stop-form.tsx';
import { StopList } from './stop-list.tsx';

/** The emergency page: what to stop, and the stops on record. */
export function StopPage() {
  const isPermitted = useScope('calls:stop');
  return (
    <Page title={texts.navigation.stop}>{isPermitted ? <PermittedStopPage /> : <StopNotPermitted />}</Page>
  );
}

function PermittedStopPage() {
  const search = useSearch();
  const mayRead = useScope('calls:read');
  const agents = useLiveAgents();
  const cancellations = useCancellations();
  const { list, choose } = texts.stop;
  const open = cancellations.data?.filter(isOpen) ?? [];
  const note = !mayRead ? choose.noAgents : agents.error === null ? null : choose.agentsFailed;
  return (
    <div className="grid grid-rows-[auto_1fr] items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
      {open.length > 0 && (
        <div className="xl:col-start-2">
          <Card title={list.open}>
            <StopList cancellations={open} />
          </Card>
        </div>
      )}
      <div className="xl:col-start-1 xl:row-span-2 xl:row-start-1">
        <StopForm key={search} link={parseLink(search)} agents={agents.data ?? []} note={note} />
      </div>
      <div className="xl:col-start-2">
        <Card title={list.earlier}>
          <EarlierStops cancellations={cancellations} />
        </Card>
      </div>
    </div>
  );
}

function EarlierStops({ cancellations }: { cancellations: ReturnType<typeof useCancellations> }) {
  const { data, error, refetch } = cancellations;
  const earlier = data?.filter((cancellation) => !isOpen(cancellation));
  return <StopList cancellations={earlier} error={error} onRetry={() => void refetch()} isCollapsed />;
}

/** What can be done without the scope. */
export function StopNotPermitted() {
  const mayCancel = useScope('calls:cancel');
  const mayRead = useScope('calls:read');
  return (
    <Card>
      <div className="flex flex-col items-start gap-3 text-sm">
        <MissingScope scope="calls:stop" />
        <GetScope name="operators" scopes={['calls:read', 'calls:cancel', 'calls:stop']} />
        {mayCancel && mayRead && (
          <>
            <p>{texts.stop.cancelOne}</p>
            <Link href="/calls" className={buttonClass()}>
              {texts.errors.toCalls}
            </Link>
          </>
        )}
      </div>
    </Card>
  );
}
