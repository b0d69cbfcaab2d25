import { useEffect, useEffectEvent, useState } from 'react';

type Action = () => Promise<unknown>;

/**
 * Returns a function that runs `action` at once. A call while the action runs, or within the interval after its start, runs it
 * once more after both.
 */
export function useThrottled(action: Action, intervalMs: number): () => void {
  const run = useEffectEvent(action);
  const [throttle] = useState(() => createThrottle(intervalMs));
  useEffect(() => {
    throttle.action = () => run();
    return () => {
      throttle.action = null;
    };
  }, [throttle]);
  return throttle.call;
}

/** `action` is null while its component is not on the page. */
export function createThrottle(intervalMs: number) {
  let isBusy = false;
  let isPending = false;
  const run = async () => {
    isBusy = true;
    do {
      isPending = false;
      await Promise.all([throttle.action?.(), new Promise((resolve) => setTimeout(resolve, intervalMs))]);
    } while (isPending);
    isBusy = false;
  };
  const throttle = {
    action: null as Action | null,
    call() {
      if (isBusy) isPending = true;
      else void run();
    },
  };
  return throttle;
}
