import { type ReactNode, useId, useState } from 'react';
import { Link } from 'wouter';
import { useScope } from '../api/session.tsx';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { ErrorMessage, Loading, MissingScope } from '../ui/messages.tsx';
import { Ago, useNow } from '../ui/time.tsx';
import { LastError } from './last-error.tsx';
import { untilAttempt } from './next-attempt.ts';
import type { RoomDeletion, RoomDeletions } from './room-deletions.ts';
import { DeletionStateBadge } from './state-badge.tsx';
import { useRetryDeletions } from './use-retry.ts';

/** An outage has many rooms with one cause, and the page has more than this list. */
const FEW = 5;
const MANY = 50;

/** Rooms that should be gone, with the causes and a button that retries. */
export function RoomDeletionList({ deletions, empty }: { deletions: RoomDeletions; empty: ReactNode }) {
  const now = useNow();
  const listId = useId();
  const mayCancel = useScope('calls:cancel');
  const [shown, setShown] = useState(FEW);
  const retry = useRetryDeletions();
  const { deletions: listed, error, isLoading, loadMore } = deletions;
  const words = texts.roomDeletions;
  const showMore = () => {
    setShown(shown + MANY);
    if (shown + MANY > listed.length) loadMore?.();
  };
  if (isLoading) return <Loading />;
  const visible = listed.slice(0, shown);
  const discarded = listed.filter(({ state }) => state === 'discarded').map(({ callId }) => callId);
  return (
    <div className="flex flex-col gap-3">
      {error !== null && <ErrorMessage error={error} onRetry={deletions.retry} />}
      {retry.error !== null && <ErrorMessage error={retry.error} />}
      <p role="status" className="text-sm empty:hidden">
        {retry.data !== undefined && words.retried(retry.data)}
      </p>
      {listed.length === 0 && error === null && empty}
      {listed.length > 0 && (
        <ul aria-label={words.caption} className="-my-2.5 divide-y divide-line">
          {visible.map((deletion) => (
            <li
              key={deletion.callId}
              className="flex flex-wrap items-start justify-between gap-x-4 gap-y-2 py-2.5"
            >
              <Description id={`${listId}-${deletion.callId}`} deletion={deletion} now={now} />
              {mayCancel && deletion.state !== 'running' && (
                <Button
                  aria-describedby={`${listId}-${deletion.callId}`}
                  isBusy={retry.isPending && retry.variables.includes(deletion.callId)}
                  onClick={() => retry.mutate([deletion.callId])}
                >
                  {words.retry}
                </Button>
              )}
            </li>
          ))}
        </ul>
      )}
      <div className="flex flex-wrap gap-2 empty:hidden">
        {mayCancel && discarded.length > 1 && (
          <Button isBusy={retry.isPending} onClick={() => retry.mutate(discarded)}>
            {words.retryAll(discarded.length)}
          </Button>
        )}
        {(visible.length < listed.length || loadMore !== null) && (
          <Button onClick={showMore}>{words.more}</Button>
        )}
      </div>
      {!mayCancel && listed.length > 0 && <MissingScope scope="calls:cancel" />}
    </div>
  );
}

function Description({ id, deletion, now }: { id: string; deletion: RoomDeletion; now: number }) {
  const { callId, roomName, state, attempt, lastError, createdAt, nextAttemptAt } = deletion;
  const words = texts.roomDeletions;
  return (
    <div className="flex min-w-0 flex-1 basis-72 flex-col gap-1 text-sm">
      <div className="flex flex-wrap items-center gap-x-2 gap-y-1">
        <Link
          id={id}
          href={`/calls/${encodeURIComponent(callId)}`}
          className="font-mono text-xs break-all text-accent underline-offset-2 hover:underline"
        >
          {callId}
        </Link>
        <DeletionStateBadge state={state} />
      </div>
      {lastError !== null && <LastError error={lastError} />}
      <p className="text-xs text-muted">
        {roomName !== callId && `${words.room(roomName)} · `}
        {words.attempts(attempt)} · {words.scheduled} <Ago iso={createdAt} now={now} />
        {state === 'retryable' &&
          nextAttemptAt !== null &&
          ` · ${words.nextAttempt(untilAttempt(nextAttemptAt, now))}`}
      </p>
    </div>
  );
}
