import PQueue from 'p-queue';
import type { LiveKitError } from '../../domain/livekit-error.ts';
import { PRIORITIES } from '../../ports/livekit.ts';
import { type RoomServiceTransport, SHUTTING_DOWN, type TwirpOutcome, type TwirpRequest } from './twirp.ts';

/** The pause of all requests after a 429 without a Retry-After. */
const DEFAULT_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;
/** A request that is sent within this time has not waited. */
const NO_WAIT_MS = 10;

/**
 * Limits the rate of all requests to LiveKit. Waiting requests are sent by priority, and wait no longer than their
 * deadline. After a 429 all requests wait as long as LiveKit requires.
 * @param requestsPerMinute 0: no limit
 * @param onQueueLength receives the number of waiting requests when it changes
 * @param shutdown its abort fails the waiting requests; later requests fail at once
 */
export function rateLimit(
  transport: RoomServiceTransport,
  {
    requestsPerMinute,
    onQueueLength,
    shutdown,
  }: { requestsPerMinute: number; onQueueLength: (length: number) => void; shutdown?: AbortSignal },
): RoomServiceTransport {
  const queue = new PQueue(requestsPerMinute === 0 ? {} : toQueueOptions(requestsPerMinute));
  const waiting = new Set<AbortController>();
  shutdown?.addEventListener('abort', () => {
    for (const request of waiting) request.abort();
  });

  function pause(durationMs: number): void {
    if (queue.isPaused) return;
    queue.pause();
    setTimeout(() => queue.start(), Math.min(durationMs, MAX_PAUSE_MS)).unref();
  }

  async function sendInTurn<Value>(request: TwirpRequest<Value>): Promise<TwirpOutcome<Value>> {
    const startedAt = performance.now();
    const expired = new AbortController();
    // Limits only the wait: the transport has its own deadline for a sent request.
    const timer = setTimeout(() => expired.abort(), request.timeoutMs);
    waiting.add(expired);
    try {
      const queued = queue.add(
        async (): Promise<TwirpOutcome<Value>> => {
          clearTimeout(timer);
          waiting.delete(expired);
          onQueueLength(queue.size);
          // DeleteRoom deletes by name, and a newer call may use the name since the request was queued.
          const hasWaited = performance.now() - startedAt > NO_WAIT_MS;
          if (hasWaited && (await request.isStillWanted?.()) === false) return { kind: 'not_found' };
          const remainingMs = Math.ceil(request.timeoutMs - (performance.now() - startedAt));
          return remainingMs >= 1 ? transport({ ...request, timeoutMs: remainingMs }) : RATE_LIMIT_TIMEOUT;
        },
        { priority: -PRIORITIES.indexOf(request.priority), signal: expired.signal },
      );
      onQueueLength(queue.size);
      return await queued;
    } catch (error) {
      if (!expired.signal.aborted) throw error;
      onQueueLength(queue.size);
      return shutdown?.aborted ? SHUTTING_DOWN : RATE_LIMIT_TIMEOUT;
    } finally {
      clearTimeout(timer);
      waiting.delete(expired);
    }
  }

  return async (request) => {
    if (shutdown?.aborted) return SHUTTING_DOWN;
    // The queue costs more than the request.
    const isSentAtOnce = requestsPerMinute === 0 && !queue.isPaused && queue.size === 0;
    const outcome = await (isSentAtOnce ? transport(request) : sendInTurn(request));
    if (outcome.kind === 'rate_limited') pause(outcome.retryAfterMs ?? DEFAULT_PAUSE_MS);
    return outcome;
  };
}

/** Spreads the requests evenly: no burst is larger than the limit per second. */
function toQueueOptions(requestsPerMinute: number) {
  const interval = Math.max(1_000, 60_000 / requestsPerMinute);
  return { interval, intervalCap: Math.max(1, Math.floor((requestsPerMinute * interval) / 60_000)) };
}

const RATE_LIMIT_TIMEOUT: LiveKitError = {
  kind: 'timed_out',
  detail: 'timed out waiting for the rate limit of LiveKit',
};
