import { useState } from 'react';
import { Link } from 'wouter';
import { statusOf } from '../api/errors.ts';
import { useScope } from '../api/session.tsx';
import { KeyName } from '../keys/key-name.tsx';
import { RoomDeletionList } from '../room-deletions/room-deletion-list.tsx';
import { type RoomDeletions, useRoomDeletions } from '../room-deletions/room-deletions.ts';
import { texts } from '../texts.ts';
import { buttonClass } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { Definition, DefinitionList } from '../ui/definition-list.tsx';
import { EmptyState, ErrorMessage, Loading, MissingScope } from '../ui/messages.tsx';
import { Card, Page } from '../ui/page.tsx';
import { Time } from '../ui/time.tsx';
import { useCancellation } from './cancellations.ts';
import { describeSelector } from './describe-selector.ts';
import { HoldState } from './hold-state.tsx';
import { type Cancellation, type Progress, percent, progressOf } from './progress.ts';
import { ProgressBar } from './progress-bar.tsx';
import { StateBadge } from './stop-list.tsx';
import { StopNotPermitted } from './stop-page.tsx';

const NOT_FOUND = 404;

/** The progress of one stop. Every operator sees the same at this address. */
export function CancellationPage({ cancellationId }: { cancellationId: string }) {
  const isPermitted = useScope('calls:stop');
  return isPermitted ? (
    <LoadedPage cancellationId={cancellationId} />
  ) : (
    <Page title={texts.navigation.stop}>
      <StopNotPermitted />
    </Page>
  );
}

function LoadedPage({ cancellationId }: { cancellationId: string }) {
  const { data, error, refetch } = useCancellation(cancellationId);
  const { progress } = texts.stop;
  const isMissing = statusOf(error) === NOT_FOUND;
  const title = data === undefined ? texts.navigation.stop : progress.title(describeSelector(data.selector));
  return (
    <Page
      title={isMissing ? progress.notFound : title}
      actions={
        <Link href="/stop" className={buttonClass()}>
          {progress.newStop}
        </Link>
      }
    >
      {isMissing ? (
        <EmptyState title={progress.notFound}>{progress.notFoundHint}</EmptyState>
      ) : data !== undefined ? (
        <Stop cancellation={data} />
      ) : error === null ? (
        <Loading />
      ) : (
        <ErrorMessage error={error} onRetry={() => void refetch()} />
      )}
    </Page>
  );
}

function Stop({ cancellation }: { cancellation: Cancellation }) {
  const [expected] = useState(readExpected);
  const mayRead = useScope('calls:read');
  const { id, counts, hold } = cancellation;
  const progress = progressOf(cancellation, expected);
  const { waiting, discarded } = progress;
  const words = texts.stop.progress;
  const givenUp = useRoomDeletions({
    cancellationId: id,
    state: ['discarded'],
    isEnabled: mayRead && discarded > 0,
  });
  const open = useRoomDeletions({
    cancellationId: id,
    state: ['available', 'running', 'retryable'],
    isEnabled: mayRead && waiting + discarded > 0,
  });
  // One list: a room that moves between the two lists above can be in neither of them for a moment.
  const remaining = useRoomDeletions({
    cancellationId: id,
    state: ['available', 'running', 'retryable', 'discarded'],
    isEnabled: mayRead && progress.outcome === 'rooms_left',
  });
  const failed = open.deletions.filter(({ lastError }) => lastError !== null);
  const rooms = countRemaining(remaining, discarded);
  const areAllGone = remaining.isComplete && rooms.left + rooms.open === 0;
  const text = progressText(progress, counts.cancelled, { ...rooms, areAllGone });
  // A screen reader would not keep up with each number.
  const tenths = Math.floor(percent(progress.gone, progress.total) / 10);
  return (
    <>
      <p role="status" className="sr-only">
        {progress.outcome === 'running'
          ? words.percent(tenths * 10)
          : words.ended(counts.cancelled, rooms.left + rooms.open)}
      </p>
      <Card>
        <div className="flex flex-col gap-4">
          <div className="flex flex-wrap items-center gap-2">
            <StateBadge
              outcome={progress.outcome === 'rooms_left' && areAllGone ? 'done' : progress.outcome}
            />
            <HoldState cancellation={cancellation} />
          </div>
          <div>
            <ProgressBar progress={progress} text={text} />
          </div>
          <dl className="grid grid-cols-2 gap-3 sm:grid-cols-4">
            <Figure label={words.cancelled} value={counts.cancelled} hint={words.cancelledHint} />
            <Figure
              label={words.gone}
              value={progress.gone}
              hint={words.goneHint}
              swatch={progress.outcome === 'done' ? 'bg-success-ink' : 'bg-accent'}
            />
            <Figure label={words.waiting} value={waiting} hint={words.waitingHint} swatch="waiting" />
            <Figure
              label={words.discarded}
              value={discarded}
              hint={words.discardedHint}
              swatch="bg-danger"
              isAlarming={discarded > 0}
            />
          </dl>
        </div>
      </Card>
      {discarded > 0 && (
        <Card title={words.discardedTitle}>
          {mayRead ? (
            <RoomDeletionList deletions={givenUp} empty={<p className="text-sm">{words.noneGivenUp}</p>} />
          ) : (
            <MissingScope scope="calls:read" />
          )}
        </Card>
      )}
      {failed.length > 0 && (
        <Card title={words.waitingTitle}>
          <RoomDeletionList deletions={{ ...open, deletions: failed }} empty={null} />
        </Card>
      )}
      <Details cancellation={cancellation} />
      {hold === null && <p className="text-sm text-muted">{words.holdNone}</p>}
    </>
  );
}

interface RemainingRooms {
  /** Given up, and not retried. */
  readonly left: number;
  /** Retried. */
  readonly open: number;
}

/** Counts the rooms of a completed stop. Without a complete list, `discarded` rooms are left. */
function countRemaining({ deletions, isComplete }: RoomDeletions, discarded: number): RemainingRooms {
  if (!isComplete) return { left: discarded, open: 0 };
  const left = deletions.filter(({ state }) => state === 'discarded').length;
  return { left, open: deletions.length - left };
}

function progressText(
  progress: Progress,
  cancelled: number,
  { left, open, areAllGone }: RemainingRooms & { readonly areAllGone: boolean },
): string {
  const { text } = texts.stop.progress;
  switch (progress.outcome) {
    case 'running':
      return text.running(progress.gone, progress.total);
    case 'done':
      return text.done(cancelled);
    case 'rooms_left':
      if (areAllGone) return text.roomsGoneLater;
      return left > 0 ? text.roomsLeft(left) : text.roomsRetried(open);
  }
}

function Figure({
  label,
  value,
  hint,
  swatch,
  isAlarming = false,
}: {
  label: string;
  value: number;
  hint: string;
  /** The color of the figure in the bar. */
  swatch?: string;
  isAlarming?: boolean;
}) {
  return (
    <div className="rounded-md bg-page p-3">
      <dt className="flex items-center gap-1.5 text-sm font-medium">
        {swatch !== undefined && (
          <span aria-hidden="true" className={classNames('size-2.5 rounded-full', swatch)} />
        )}
        {label}
      </dt>
      <dd>
        <span className={classNames('block text-2xl font-semibold', isAlarming && 'text-danger-ink')}>
          {texts.common.number(value)}
        </span>
        <span className="block text-xs text-muted">{hint}</span>
      </dd>
    </div>
  );
}

function Details({ cancellation }: { cancellation: Cancellation }) {
  const { id, selector, reason, createdBy, createdAt, completedAt, counts, hold } = cancellation;
  const words = texts.stop.progress;
  const others = words.notMatched(counts.alreadyEnded, counts.notFound);
  return (
    <Card title={words.details}>
      <DefinitionList>
        <Definition name={words.what}>{describeSelector(selector)}</Definition>
        <Definition name={words.reason}>{reason}</Definition>
        <Definition name={words.startedAt}>
          <Time iso={createdAt} />
        </Definition>
        <Definition name={words.startedBy}>
          <KeyName id={createdBy} />
        </Definition>
        <Definition name={words.completedAt}>
          {completedAt === null ? words.notCompleted : <Time iso={completedAt} />}
        </Definition>
        {others !== '' && <Definition name={words.others}>{others}</Definition>}
        {hold !== null && hold.liftedAt !== null && (
          <Definition name={words.holdLifted}>
            <Time iso={hold.liftedAt} />
            {hold.liftedBy !== null && (
              <>
                {' '}
                · <KeyName id={hold.liftedBy} />
              </>
            )}
          </Definition>
        )}
        <Definition name={words.id}>
          <span className="font-mono text-xs break-all">{id}</span>
        </Definition>
      </DefinitionList>
    </Card>
  );
}

/** Returns the number of the preview, which the page of the stop has set; 0 for other visitors. */
function readExpected(): number {
  const state: unknown = history.state;
  const isSet = typeof state === 'object' && state !== null && 'expected' in state;
  return isSet && typeof state.expected === 'number' ? state.expected : 0;
}
