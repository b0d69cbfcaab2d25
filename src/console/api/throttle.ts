import { useEffect, useEffectEvent, useState } from 'react';

/** Returns a function that runs `action` at once, and at most once per interval: a call in between runs it at the interval's end. */
export function useThrottled(action: () => void, intervalMs: number): () => void {
  const run = useEffectEvent(action);
  const [throttle] = useState(() => createThrottle(intervalMs));
  useEffect(() => {
    throttle.action = () => run();
    return () => {
      throttle.action = null;
      clearTimeout(throttle.timer);
      throttle.timer = undefined;
    };
  }, [throttle]);
  return throttle.call;
}

function createThrottle(intervalMs: number) {
  const throttle = {
    action: null as (() => void) | null,
    timer: undefined as ReturnType<typeof setTimeout> | undefined,
    isPending: false,
    call() {
      if (throttle.timer !== undefined) {
        throttle.isPending = true;
        return;
      }
      throttle.action?.();
      throttle.timer = setTimeout(() => {
        throttle.timer = undefined;
        const { isPending } = throttle;
        throttle.isPending = false;
        if (isPending) throttle.call();
      }, intervalMs);
    },
  };
  return throttle;
}
