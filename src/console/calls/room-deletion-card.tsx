import { isLive } from '../api/call.ts';
import { useScope } from '../api/session.tsx';
import { LastError } from '../room-deletions/last-error.tsx';
import { untilAttempt } from '../room-deletions/next-attempt.ts';
import { DeletionStateBadge } from '../room-deletions/state-badge.tsx';
import { useRetryDeletions } from '../room-deletions/use-retry.ts';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { Definition, DefinitionList } from '../ui/definition-list.tsx';
import { ErrorMessage, MissingScope } from '../ui/messages.tsx';
import { Card } from '../ui/page.tsx';
import { Time, useNow } from '../ui/time.tsx';
import type { CallDetails } from './call-page.tsx';

const words = texts.call;

interface Props {
  readonly call: CallDetails;
  readonly onRetried: () => void;
}

/** True if an attempt to delete the room of an ended call has failed, and none has succeeded since. */
export function isNotGone({ status, roomDeletion }: CallDetails): boolean {
  if (isLive(status) || roomDeletion === null) return false;
  const { state, lastError } = roomDeletion;
  return state === 'discarded' || (state !== 'completed' && lastError !== null);
}

/** A warning above everything else: the call has ended, and its room has not. */
export function NotGone({ call, onRetried }: Props) {
  if (!isNotGone(call)) return null;
  const isDiscarded = call.roomDeletion?.state === 'discarded';
  return (
    <section
      role="alert"
      className="flex flex-wrap items-center justify-between gap-3 rounded-lg border-2 border-danger bg-danger-soft p-4 text-danger-ink"
    >
      <div className="flex min-w-0 flex-1 basis-80 flex-col gap-1">
        <h2 className="text-base font-semibold">{words.notGoneTitle}</h2>
        <p className="text-sm">
          {words.notGone} {isDiscarded ? words.notGoneDiscarded : words.notGoneRetrying}
        </p>
      </div>
      <Retry call={call} onRetried={onRetried} />
    </section>
  );
}

/** The state of the room's deletion, with its attempts. */
export function RoomDeletionCard({ call }: Props) {
  const now = useNow();
  const { roomDeletion, status } = call;
  if (roomDeletion === null) {
    return (
      <Card title={words.deletion}>
        <p className="text-sm text-muted">{isLive(status) ? words.noDeletion : words.noDeletionEnded}</p>
      </Card>
    );
  }
  const { state, attempt, lastError, nextAttemptAt } = roomDeletion;
  return (
    <Card title={words.deletion} actions={<DeletionStateBadge state={state} />}>
      <DefinitionList>
        <Definition name={words.attempts}>{attempt}</Definition>
        {lastError !== null && (
          <Definition name={words.lastError}>
            <LastError error={lastError} />
          </Definition>
        )}
        {state === 'retryable' && nextAttemptAt !== null && (
          <Definition name={words.nextAttempt}>
            {untilAttempt(nextAttemptAt, now)} (<Time iso={nextAttemptAt} />)
          </Definition>
        )}
        {state === 'discarded' && <Definition name={words.nextAttempt}>{words.noNextAttempt}</Definition>}
      </DefinitionList>
    </Card>
  );
}

function Retry({ call, onRetried }: Props) {
  const mayCancel = useScope('calls:cancel');
  const { mutate, error, isPending } = useRetryDeletions();
  const state = call.roomDeletion?.state;
  if (!mayCancel) return <MissingScope scope="calls:cancel" />;
  return (
    <div className="flex flex-col gap-2">
      {(state === 'discarded' || state === 'retryable') && (
        <Button kind="danger" isBusy={isPending} onClick={() => mutate([call.id], { onSettled: onRetried })}>
          {texts.roomDeletions.retry}
        </Button>
      )}
      {error !== null && <ErrorMessage error={error} />}
    </div>
  );
}
