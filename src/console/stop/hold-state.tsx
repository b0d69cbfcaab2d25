import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { reloadQueries } from '../api/reload.ts';
import { sendUntilAnswered } from '../api/retry.ts';
import { inTime, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { ErrorMessage } from '../ui/messages.tsx';
import type { Cancellation } from './progress.ts';

const LIFT_ATTEMPTS = 4;

/** Whether the hold of a stop is on, with a button that lifts it. Lifting twice has no further effect. */
export function HoldState({ cancellation: { id, hold } }: { cancellation: Cancellation }) {
  const queryClient = useQueryClient();
  const state = useRef<HTMLParagraphElement>(null);
  const { mutate, isPending, isSuccess, error } = useMutation({
    mutationFn: () =>
      sendUntilAnswered(() => trpc.cancellations.liftHold.mutate({ id }, inTime()), {
        attempts: LIFT_ATTEMPTS,
      }),
    onSettled: () => reloadQueries(queryClient, ['cancellations']),
  });
  const isActive = hold?.state === 'active';
  // The button is gone.
  useEffect(() => {
    if (isSuccess && !isActive) state.current?.focus();
  }, [isSuccess, isActive]);
  const { progress } = texts.stop;
  if (hold === null) return null;
  return (
    <>
      <div
        className={classNames(
          'flex flex-1 flex-wrap max-sm:basis-full items-center justify-between gap-2 rounded-md px-3 py-2 text-sm',
          isActive ? 'bg-warning-soft text-warning-ink' : 'bg-page',
        )}
      >
        <p ref={state} role="status" tabIndex={-1} className="outline-none">
          {isActive ? progress.holdOn : progress.holdOff}
        </p>
        {isActive && (
          <Button isBusy={isPending} onClick={() => mutate()}>
            {progress.lift}
          </Button>
        )}
      </div>
      {error !== null && isActive && <ErrorMessage error={error} onRetry={() => mutate()} />}
    </>
  );
}
