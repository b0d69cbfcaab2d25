/** The longest delay of a timer; a longer one fires at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * Runs work under a signal that aborts with the parent, or after the timeout. Rejects with the reason of the abort at once,
 * also if the work ignores its signal. Leaves neither a timer nor a listener.
 * @param timeoutMs Infinity: no timeout
 */
export async function withDeadline<T>(
  parent: AbortSignal | undefined,
  { timeoutMs, onTimeout }: { timeoutMs: number; onTimeout: () => Error },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  parent?.throwIfAborted();
  const controller = new AbortController();
  const { signal } = controller;
  const abort = () => controller.abort(parent?.reason);
  parent?.addEventListener('abort', abort, { once: true });
  const timer = Number.isFinite(timeoutMs)
    ? setTimeout(() => controller.abort(onTimeout()), Math.min(timeoutMs, MAX_DELAY_MS))
    : undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      // Before the listeners of the work, whose error would hide the reason.
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      work(signal).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
    parent?.removeEventListener('abort', abort);
  }
}

/** Resolves after the delay. Rejects with the signal's reason. */
export function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(
      () => {
        signal.removeEventListener('abort', abort);
        resolve();
      },
      Math.min(delayMs, MAX_DELAY_MS),
    );
    signal.addEventListener('abort', abort, { once: true });
  });
}
