import PQueue from 'p-queue';
import type { LiveKitError } from '../../domain/livekit-error.ts';
import { PRIORITIES } from '../../ports/livekit.ts';
import type { RoomServiceTransport, TwirpOutcome, TwirpRequest } from './twirp.ts';

/** How long all requests wait after a 429 without a Retry-After. */
const DEFAULT_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;
/** A request that is sent within this has not waited. */
const PROMPT_MS = 10;

/**
 * Sends all requests to LiveKit through one limit. Waiting requests go by priority, and wait no longer than their
 * deadline. After a 429 all requests wait for as long as LiveKit requires.
 * @param requestsPerMinute 0: no limit of our own
 * @param onQueueLength is called with the number of waiting requests
 * @param shutdown ends the waiting; after it no request is sent
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
    for (const one of waiting) one.abort();
  });

  function pause(forMs: number): void {
    if (queue.isPaused) return;
    queue.pause();
    setTimeout(() => queue.start(), Math.min(forMs, MAX_PAUSE_MS)).unref();
  }

  return async <Answer>(request: TwirpRequest<Answer>): Promise<TwirpOutcome<Answer>> => {
    if (shutdown?.aborted) return SHUTTING_DOWN;
    const startedAt = performance.now();
    const expired = new AbortController();
    // For the wait alone: once it is sent, the request has a deadline of its own.
    const timer = setTimeout(() => expired.abort(), request.timeoutMs);
    waiting.add(expired);
    try {
      const answer = queue.add(
        async (): Promise<TwirpOutcome<Answer>> => {
          clearTimeout(timer);
          waiting.delete(expired);
          onQueueLength(queue.size);
          // DeleteRoom goes by name, and a new caller may have come while the request waited for its turn.
          const hasWaited = performance.now() - startedAt > PROMPT_MS;
          if (hasWaited && (await request.isStillWanted?.()) === false) return { kind: 'not_found' };
          const leftMs = Math.ceil(request.timeoutMs - (performance.now() - startedAt));
          return leftMs >= 1 ? transport({ ...request, timeoutMs: leftMs }) : RATE_LIMIT_TIMEOUT;
        },
        { priority: -PRIORITIES.indexOf(request.priority), signal: expired.signal },
      );
      onQueueLength(queue.size);
      const outcome = await answer;
      if (outcome.kind === 'rate_limited') pause(outcome.retryAfterMs ?? DEFAULT_PAUSE_MS);
      return outcome;
    } catch (error) {
      if (!expired.signal.aborted) throw error;
      onQueueLength(queue.size);
      return shutdown?.aborted ? SHUTTING_DOWN : RATE_LIMIT_TIMEOUT;
    } finally {
      clearTimeout(timer);
      waiting.delete(expired);
    }
  };
}

/** Evenly, at most a second's worth at once. */
function toQueueOptions(requestsPerMinute: number) {
  const interval = Math.max(1_000, 60_000 / requestsPerMinute);
  return { interval, intervalCap: Math.max(1, Math.floor((requestsPerMinute * interval) / 60_000)) };
}

const RATE_LIMIT_TIMEOUT: LiveKitError = {
  kind: 'timed_out',
  detail: 'it waited too long for the rate limit of LiveKit',
};
const SHUTTING_DOWN: LiveKitError = {
  kind: 'unavailable',
  code: null,
  detail: 'hangup was stopped meanwhile',
};
