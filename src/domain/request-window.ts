/** The requests since the start of a window. Times are milliseconds of any monotonic clock. */
export interface RequestWindow {
  readonly startedAtMs: number;
  readonly sent: number;
}

export const EMPTY_WINDOW: RequestWindow = { startedAtMs: Number.NEGATIVE_INFINITY, sent: 0 };

/** Returns the time until the next request may be sent: 0 is now. Infinite if the rate is 0. */
export function waitForSlotMs(window: RequestWindow, requestsPerMinute: number, nowMs: number): number {
  if (requestsPerMinute === 0) return Number.POSITIVE_INFINITY;
  const { durationMs, limit } = limitsOf(requestsPerMinute);
  if (window.sent < limit) return 0;
  return Math.max(0, window.startedAtMs + durationMs - nowMs);
}

/** Returns the window after a request. */
export function takeSlot(window: RequestWindow, requestsPerMinute: number, nowMs: number): RequestWindow {
  const { durationMs } = limitsOf(requestsPerMinute);
  const isOver = nowMs >= window.startedAtMs + durationMs;
  return isOver ? { startedAtMs: nowMs, sent: 1 } : { ...window, sent: window.sent + 1 };
}

/** Spreads the requests evenly: no burst is larger than the limit per second. */
function limitsOf(requestsPerMinute: number): { durationMs: number; limit: number } {
  const durationMs = Math.max(1_000, 60_000 / requestsPerMinute);
  return { durationMs, limit: Math.max(1, Math.floor((requestsPerMinute * durationMs) / 60_000)) };
}
