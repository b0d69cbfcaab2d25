import { useEffect, useState } from 'react';
import { useStreamRetryAt, useStreamState } from '../api/live-events.tsx';
import { texts } from '../texts.ts';
import { classNames } from '../ui/class-names.ts';
import { formatTimeOfDay } from '../ui/time.tsx';

const BACK_SHOWN_MS = 5_000;

/** Shows that the event stream is lost or refused by a limit, and for some seconds that it is back. */
export function ConnectionBanner() {
  const state = useStreamState();
  const retryAt = useStreamRetryAt();
  const [shown, setShown] = useState<'lost' | 'limited' | 'back' | null>(null);

  useEffect(() => {
    if (state === 'lost' || state === 'limited') setShown(state);
    if (state === 'live') setShown((before) => (before === null ? null : 'back'));
    if (state === 'refused') setShown(null);
  }, [state]);

  useEffect(() => {
    if (shown !== 'back') return;
    const timer = setTimeout(() => setShown(null), BACK_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [shown]);

  return (
    <div role="status">
      {shown !== null && (
        <p
          className={classNames(
            'px-4 py-2 text-center text-sm font-medium',
            shown === 'back' ? 'bg-success-soft text-success-ink' : 'bg-warning-soft text-warning-ink',
          )}
        >
          {shown === 'limited' ? texts.stream.limited(formatTimeOfDay(retryAt)) : texts.stream[shown]}
        </p>
      )}
    </div>
  );
}
