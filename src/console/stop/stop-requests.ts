import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { currentTime } from '../api/clock.ts';
import { isDefiniteRefusal, isRetryable } from '../api/errors.ts';
import { createKeyring } from '../api/idempotency.ts';
import { useReportLateError } from '../api/late-errors.tsx';
import { retryDelay, sendUntilAnswered } from '../api/retry.ts';
import { useSameOrganization } from '../api/session.tsx';
import { inTime, type Outputs, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { describeSelector } from './describe-selector.ts';
import { type Selector, toLink } from './selection.ts';

type Created = Outputs['cancellations']['create'];
type CountedCalls = Extract<Created, { dryRun: true }>;

/** The calls that matched a selector at a time. */
export interface Preview extends CountedCalls {
  readonly selector: Selector;
  readonly countedAt: Date;
}

/** The request of a confirmed stop. */
export type StopRequest = Selector & {
  readonly reason: string;
  readonly hold: boolean;
  readonly expectedAtMost: number;
};

const PREVIEW_ATTEMPTS = 3;
/** With the delays below, about a minute. */
const STOP_ATTEMPTS = 18;

/** A preview is not recorded, but the API requires a reason. */
const PREVIEW_REASON = 'preview';

/** Counts the calls that match a selector. Cancels none. */
export function usePreviewRequest() {
  return useMutation({
    meta: { changesNothing: true },
    mutationFn: async (selector: Selector): Promise<Preview> => {
      const result = await trpc.cancellations.create.mutate(
        { ...selector, reason: PREVIEW_REASON, dryRun: true },
        inTime(),
      );
      if (!('dryRun' in result)) throw new Error('hangup returned no preview');
      return { ...result, selector, countedAt: new Date(currentTime()) };
    },
    retry: (failures, error) => failures < PREVIEW_ATTEMPTS - 1 && isRetryable(error),
    retryDelay,
  });
}

/**
 * Starts a stop once, also if its request is sent again after a lost response: the same request has the same
 * Idempotency-Key until a definite response arrives.
 */
export function useStopRequest() {
  const [keyring] = useState(() => createKeyring());
  const [isRepeated, setIsRepeated] = useState(false);
  const assertSameOrganization = useSameOrganization();
  const report = useReportLateError();
  const send = async (request: StopRequest): Promise<string> => {
    assertSameOrganization();
    const result = await trpc.cancellations.create.mutate(
      { ...request, idempotencyKey: keyring.keyFor(request) },
      inTime(),
    );
    if ('dryRun' in result) throw new Error('hangup returned a preview');
    return result.id;
  };
  const request = useMutation({
    onMutate: () => setIsRepeated(false),
    mutationFn: (stop: StopRequest) =>
      sendUntilAnswered(() => send(stop), { attempts: STOP_ATTEMPTS, onFailure: () => setIsRepeated(true) }),
    onError: (error, { reason: _, hold: __, expectedAtMost: ___, ...selector }) =>
      report({
        title: texts.lateErrors.stop(describeSelector(selector)),
        error,
        href: 'filter' in selector ? `/stop?${toLink(selector.filter)}` : '/stop',
      }),
    onSettled: (_id, error) => {
      if (error === null || isDefiniteRefusal(error)) keyring.discard();
    },
  });
  return { ...request, isRepeated };
}
