import PQueue from 'p-queue';
import type { LiveKitError } from '../../domain/livekit-error.ts';
import { EMPTY_WINDOW, takeSlot, waitForSlotMs } from '../../domain/request-window.ts';
import { PRIORITIES } from '../../ports/livekit.ts';
import { type RoomServiceTransport, SHUTTING_DOWN, type TwirpOutcome, type TwirpRequest } from './twirp.ts';

/** The pause of all requests after a 429 without a Retry-After. */
const DEFAULT_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;
/** A request that is sent within this time has not waited. */
const NO_WAIT_MS = 10;

export interface LimitedTransport {
  readonly transport: RoomServiceTransport;
  /** Sets the part of the rate limit that this process may use, from 0 to 1. */
  setPart(part: number): void;
}

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
): LimitedTransport {
  // Starts one request at a time, without waiting for its response. Paused while no request may be sent.
  const queue = new PQueue({ concurrency: 1 });
  const waiting = new Set<AbortController>();
  let part = 1;
  let sent = EMPTY_WINDOW;
  let pausedUntilMs = 0;
  let resumeTimer: NodeJS.Timeout | undefined;
  shutdown?.addEventListener('abort', () => {
    for (const request of waiting) request.abort();
  });

  function waitMs(): number {
    const nowMs = performance.now();
    const slotMs = requestsPerMinute === 0 ? 0 : waitForSlotMs(sent, requestsPerMinute * part, nowMs);
    return Math.max(slotMs, pausedUntilMs - nowMs);
  }

  /** Starts or pauses the queue. */
  function update(): void {
    clearTimeout(resumeTimer);
    const delayMs = waitMs();
    if (delayMs <= 0) {
      queue.start();
      return;
    }
    queue.pause();
    if (Number.isFinite(delayMs)) resumeTimer = setTimeout(update, Math.ceil(delayMs)).unref();
  }

  function pause(durationMs: number): void {
    const nowMs = performance.now();
    if (nowMs < pausedUntilMs) return;
    pausedUntilMs = nowMs + Math.min(durationMs, MAX_PAUSE_MS);
    update();
  }

  async function sendInTurn<Value>(request: TwirpRequest<Value>): Promise<TwirpOutcome<Value>> {
    const startedAt = performance.now();
    const expired = new AbortController();
    // Limits only the wait: the transport has its own deadline for a sent request.
    const timer = setTimeout(() => expired.abort(), request.timeoutMs);
    waiting.add(expired);
    const send = async (): Promise<TwirpOutcome<Value>> => {
      // DeleteRoom deletes by name, and a newer call may use the name since the request was queued.
      const hasWaited = performance.now() - startedAt > NO_WAIT_MS;
      if (hasWaited && (await request.isStillWanted?.()) === false) return { kind: 'not_found' };
      const remainingMs = Math.ceil(request.timeoutMs - (performance.now() - startedAt));
      return remainingMs >= 1 ? transport({ ...request, timeoutMs: remainingMs }) : RATE_LIMIT_TIMEOUT;
    };
    try {
      const queued = queue.add(
        () => {
          clearTimeout(timer);
          waiting.delete(expired);
          onQueueLength(queue.size);
          if (requestsPerMinute !== 0) sent = takeSlot(sent, requestsPerMinute * part, performance.now());
          update();
          return { outcome: send() };
        },
        { priority: -PRIORITIES.indexOf(request.priority), signal: expired.signal },
      );
      onQueueLength(queue.size);
      const { outcome } = await queued;
      return await outcome;
    } catch (error) {
      if (!expired.signal.aborted) throw error;
      onQueueLength(queue.size);
      return shutdown?.aborted ? SHUTTING_DOWN : RATE_LIMIT_TIMEOUT;
    } finally {
      clearTimeout(timer);
      waiting.delete(expired);
    }
  }

  return {
    async transport(request) {
      if (shutdown?.aborted) return SHUTTING_DOWN;
      // The queue costs more than the request.
      const isSentAtOnce = requestsPerMinute === 0 && !queue.isPaused && queue.size === 0;
      const outcome = await (isSentAtOnce ? transport(request) : sendInTurn(request));
      if (outcome.kind === 'rate_limited') pause(outcome.retryAfterMs ?? DEFAULT_PAUSE_MS);
      return outcome;
    },
    setPart(newPart) {
      part = newPart;
      update();
    },
  };
}

const RATE_LIMIT_TIMEOUT: LiveKitError = {
  kind: 'timed_out',
  detail: 'timed out waiting for the rate limit of LiveKit',
};
