import { useState } from 'react';
import { Link } from 'wouter';
import { texts } from '../texts.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { EmptyState, ErrorMessage, Loading } from '../ui/messages.tsx';
import { Time } from '../ui/time.tsx';
import { describeSelector } from './describe-selector.ts';
import { type Cancellation, progressOf } from './progress.ts';
import { ProgressBar } from './progress-bar.tsx';

const COLLAPSED = 8;

/** Stops with links to their progress. */
export function StopList({
  cancellations,
  error = null,
  onRetry,
  isCollapsed = false,
}: {
  cancellations: readonly Cancellation[] | undefined;
  error?: unknown;
  onRetry?: () => void;
  /** Only the first stops, and a button that shows the others. */
  isCollapsed?: boolean;
}) {
  const [isExpanded, setIsExpanded] = useState(!isCollapsed);
  const { list } = texts.stop;
  if (cancellations === undefined) {
    return error === null ? <Loading /> : <ErrorMessage error={error} {...(onRetry && { onRetry })} />;
  }
  if (cancellations.length === 0) return <EmptyState title={list.none}>{list.noneHint}</EmptyState>;
  const shown = isExpanded ? cancellations : cancellations.slice(0, COLLAPSED);
  return (
    <>
      <ul className="-my-2.5 divide-y divide-line">
        {shown.map((cancellation) => (
          <StopListItem key={cancellation.id} cancellation={cancellation} />
        ))}
      </ul>
      {shown.length < cancellations.length && (
        <Button className="mt-4" onClick={() => setIsExpanded(true)}>
          {list.more}
        </Button>
      )}
    </>
  );
}

function StopListItem({ cancellation }: { cancellation: Cancellation }) {
  const { id, selector, reason, counts, createdAt, hold } = cancellation;
  const progress = progressOf(cancellation);
  const { list, progress: words } = texts.stop;
  return (
    <li className="flex flex-col gap-1 py-2.5">
      <div className="flex flex-wrap items-center gap-x-2 gap-y-1">
        <Link
          href={`/stop/${encodeURIComponent(id)}`}
          className="font-medium break-words text-accent underline-offset-2 hover:underline"
        >
          {describeSelector(selector)}
        </Link>
        <StateBadge outcome={progress.outcome} />
        {hold?.state === 'active' && <Badge tone="warning">{words.holdActive}</Badge>}
      </div>
      <p className="text-sm break-words">{reason}</p>
      {progress.outcome === 'running' && <ProgressBar progress={progress} />}
      <p className="text-xs text-muted">
        {list.calls(counts.cancelled)} · <Time iso={createdAt} />
      </p>
    </li>
  );
}

/** The state of a stop. */
export function StateBadge({ outcome }: { outcome: ReturnType<typeof progressOf>['outcome'] }) {
  const { progress } = texts.stop;
  switch (outcome) {
    case 'running':
      return <Badge tone="accent">{progress.running}</Badge>;
    case 'done':
      return <Badge tone="success">{progress.done}</Badge>;
    case 'rooms_left':
      return <Badge tone="danger">{progress.roomsLeft}</Badge>;
  }
}
