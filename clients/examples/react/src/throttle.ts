export interface Throttled {
  call(): void;
  cancel(): void;
}

/** Returns a function that works at once, and then at most once per interval. Work follows the last call. */
export function throttle(work: () => void, intervalMs: number): Throttled {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isDue = false;
  const call = () => {
    if (timer !== undefined) {
      isDue = true;
      return;
    }
    work();
    timer = setTimeout(() => {
      timer = undefined;
      if (isDue) {
        isDue = false;
        call();
      }
    }, intervalMs);
  };
  return {
    call,
    cancel: () => clearTimeout(timer),
  };
}
