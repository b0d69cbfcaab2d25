import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { Link } from 'wouter';
import { isLive } from '../api/call.ts';
import { statusOf } from '../api/errors.ts';
import { useOnEvent } from '../api/live-events.tsx';
import { useReload } from '../api/reload.ts';
import { useScope } from '../api/session.tsx';
import { inTime, type Outputs, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { EmptyState, ErrorMessage, Loading, MissingScope } from '../ui/messages.tsx';
import { Card, Page } from '../ui/page.tsx';
import { StatusBadge } from '../ui/status-badge.tsx';
import { CallFacts } from './call-facts.tsx';
import { CallSummary } from './call-summary.tsx';
import { CancelCallDialog } from './cancel-dialog.tsx';
import { callsAddress } from './last-search.ts';
import { LiveParticipants } from './live-participants.tsx';
import { NotGone, RoomDeletionCard } from './room-deletion-card.tsx';
import { Timeline } from './timeline.tsx';

export type CallDetails = Outputs['calls']['get'];

const RELOAD_MS = 1_000;
/** How often the participants of a live call are read. */
const PARTICIPANTS_MS = 10_000;
/** The same while LiveKit does not respond. */
const RETRY_MS = 3_000;
const words = texts.call;

export function CallPage({ callId }: { callId: string }) {
  const mayRead = useScope('calls:read');
  if (mayRead) return <Call callId={callId} />;
  return (
    <Page title={words.title}>
      <MissingScope scope="calls:read" />
    </Page>
  );
}

function Call({ callId }: { callId: string }) {
  const reload = useCallReload(callId);
  const {
    data: call,
    error,
    refetch,
  } = useQuery({
    queryKey: ['call', callId],
    queryFn: ({ signal }) => trpc.calls.get.query({ callId }, inTime(signal)),
    staleTime: 0,
    // A join that does not change the status has no event. A hidden tab sends no requests.
    refetchInterval: ({ state: { data, status } }) =>
      data === undefined || status === 'error' || !isLive(data.status)
        ? false
        : data.liveRoomStatus === null
          ? RETRY_MS
          : PARTICIPANTS_MS,
  });
  const status = statusOf(error);
  if (status === 404 || status === 403) return <NotFound callId={callId} />;
  if (call === undefined) {
    return (
      <Page title={words.title} actions={<BackLink />}>
        {error === null ? <Loading /> : <ErrorMessage error={error} onRetry={() => void refetch()} />}
      </Page>
    );
  }
  return (
    <Page title={words.title} actions={<Actions call={call} onCancelled={reload} />}>
      {error !== null && <ErrorMessage error={error} onRetry={() => void refetch()} />}
      <div className="flex flex-wrap items-center gap-3">
        <StatusBadge status={call.status} />
        <CopyableId id={call.id} />
      </div>
      <NotGone call={call} onRetried={reload} />
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <div className="flex min-w-0 flex-col gap-4">
          <CallFacts call={call} />
          <Timeline callId={callId} />
        </div>
        <div className="flex min-w-0 flex-col gap-4 max-lg:-order-1">
          <Card title={words.participants}>
            <LiveParticipants call={call} />
          </Card>
          <RoomDeletionCard call={call} onRetried={reload} />
        </div>
      </div>
    </Page>
  );
}

/** Loads the call and its events again after each event of the call. Returns the function that does so. */
function useCallReload(callId: string): () => void {
  const queryKeys = [
    ['call', callId],
    ['callEvents', callId],
  ];
  const reload = useReload(queryKeys, RELOAD_MS);
  useOnEvent((event) => {
    const isOwn = 'callId' in event && event.callId === callId;
    if (isOwn || event.type === 'reset' || event.type === 'opened') reload();
  });
  return reload;
}

function NotFound({ callId }: { callId: string }) {
  return (
    <Page title={words.title}>
      <EmptyState title={words.notFound}>
        <p className="mb-3 [overflow-wrap:anywhere]">{words.notFoundNext(callId)}</p>
        <Link href="/calls" className={buttonClass()}>
          {texts.errors.toCalls}
        </Link>
      </EmptyState>
    </Page>
  );
}

function BackLink() {
  return (
    <Link href={callsAddress()} className={buttonClass('quiet')}>
      {words.back}
    </Link>
  );
}

function Actions({ call, onCancelled }: { call: CallDetails; onCancelled: () => void }) {
  const mayCancel = useScope('calls:cancel');
  const [isOpen, setIsOpen] = useState(false);
  const isCancellable = isLive(call.status);
  useFocusAfterEnd({ isOpen, isCancellable });
  return (
    <>
      <BackLink />
      {isCancellable && mayCancel && (
        <Button kind="danger" onClick={() => setIsOpen(true)}>
          {words.cancel}
        </Button>
      )}
      {isCancellable && !mayCancel && <MissingScope scope="calls:cancel" />}
      {isOpen && (
        <CancelCallDialog callId={call.id} onCancelled={onCancelled} onClose={() => setIsOpen(false)}>
          <CallSummary id={call.id} call={call} />
        </CancelCallDialog>
      )}
    </>
  );
}

/** Focuses the title when the dialog has closed and its button is gone, so that the keyboard does not start again. */
function useFocusAfterEnd({ isOpen, isCancellable }: { isOpen: boolean; isCancellable: boolean }): void {
  const wasOpen = useRef(false);
  useEffect(() => {
    if (isOpen) wasOpen.current = true;
    const isLost = wasOpen.current && !isOpen && !isCancellable && document.activeElement === document.body;
    if (isLost) document.querySelector('h1')?.focus();
  }, [isOpen, isCancellable]);
}

function CopyableId({ id }: { id: string }) {
  const [isCopied, setIsCopied] = useState(false);
  // The clipboard exists in pages of https and localhost only.
  const { clipboard } = navigator as { clipboard?: Clipboard };
  return (
    <span className="flex min-w-0 flex-wrap items-center gap-2">
      <span className="font-mono text-sm break-all">{id}</span>
      {clipboard !== undefined && (
        <Button
          kind="quiet"
          className="-my-1 -ml-3 text-muted sm:-ml-1"
          onClick={() =>
            void clipboard.writeText(id).then(
              () => setIsCopied(true),
              () => {},
            )
          }
        >
          {isCopied ? words.copied : words.copyId}
        </Button>
      )}
    </span>
  );
}
