import PQueue from 'p-queue';
import type { LiveKitFailure } from '../domain/livekit-failure.ts';
import { type Asking, PRIORITIES, type Rooms } from '../domain/ports.ts';

/** How long all requests wait when LiveKit says that there were too many, and not for how long. */
const DEFAULT_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** A request that is sent within this has not waited. */
const PROMPT_MS = 10;

/**
 * All requests to LiveKit through one limit. What waits goes by priority, and waits no longer than its deadline.
 * When LiveKit says that there were too many, all wait for as long as it says.
 * @param requestsPerMinute 0: no limit but LiveKit's word
 * @param onWaiting told how many wait, when that changes
 * @param closing ends the waiting: then nothing is asked any more
 */
export function limitedRooms(
  rooms: Rooms,
  {
    requestsPerMinute,
    onWaiting,
    closing,
  }: { requestsPerMinute: number; onWaiting: (count: number) => void; closing?: AbortSignal },
): Rooms {
  const queue = new PQueue(requestsPerMinute === 0 ? {} : pace(requestsPerMinute));
  const waiting = new Set<AbortController>();
  closing?.addEventListener('abort', () => {
    for (const one of waiting) one.abort();
  });

  async function within<T extends { readonly kind: string }>(
    asking: Asking,
    ask: (asking: Asking) => Promise<T | LiveKitFailure>,
  ): Promise<T | LiveKitFailure> {
    if (closing?.aborted) return STOPPED;
    const beganAt = performance.now();
    const overdue = new AbortController();
    // While it waits; from then on the request has its own deadline.
    const timer = setTimeout(() => overdue.abort(), asking.timeoutMs);
    waiting.add(overdue);
    try {
      const answer = queue.add(
        () => {
          clearTimeout(timer);
          waiting.delete(overdue);
          onWaiting(queue.size);
          const leftMs = Math.ceil(asking.timeoutMs - (performance.now() - beganAt));
          return leftMs >= 1 ? ask({ ...asking, timeoutMs: leftMs }) : TOO_LATE;
        },
        { priority: -PRIORITIES.indexOf(asking.priority), signal: overdue.signal },
      );
      onWaiting(queue.size);
      const outcome = await answer;
      if (isRateLimited(outcome)) pause(outcome.retryAfterMs ?? DEFAULT_PAUSE_MS);
      return outcome;
    } catch (error) {
      if (!overdue.signal.aborted) throw error;
      onWaiting(queue.size);
      return closing?.aborted ? STOPPED : TOO_LATE;
    } finally {
      clearTimeout(timer);
      waiting.delete(overdue);
    }
  }

  function pause(forMs: number): void {
    if (queue.isPaused) return;
    queue.pause();
    setTimeout(() => queue.start(), Math.min(forMs, LONGEST_PAUSE_MS)).unref();
  }

  return {
    deleteRoom: (roomName, asking) => {
      const queuedAt = performance.now();
      return within(asking, async (left) => {
        // DeleteRoom goes by name, and a new caller may have come while the request waited for its turn.
        const hasWaited = performance.now() - queuedAt > PROMPT_MS;
        const isWanted = !hasWaited || (await asking.isStillWanted?.()) !== false;
        return isWanted ? rooms.deleteRoom(roomName, left) : { kind: 'absent' };
      });
    },
    createRoom: (room, asking) => within(asking, (left) => rooms.createRoom(room, left)),
    listRooms: (take, asking) => within(asking, (left) => rooms.listRooms(take, left)),
    findRoom: (roomName, asking) => within(asking, (left) => rooms.findRoom(roomName, left)),
    probeNode: (roomName, asking) => within(asking, (left) => rooms.probeNode(roomName, left)),
    probeParticipant: (participant, asking) =>
      within(asking, (left) => rooms.probeParticipant(participant, left)),
    listParticipants: (roomName, asking) => within(asking, (left) => rooms.listParticipants(roomName, left)),
    describeRoom: (roomName, asking) => within(asking, (left) => rooms.describeRoom(roomName, left)),
  };
}

/** Evenly, at most a second's worth at once. */
function pace(requestsPerMinute: number) {
  const interval = Math.max(1_000, 60_000 / requestsPerMinute);
  return { interval, intervalCap: Math.max(1, Math.floor((requestsPerMinute * interval) / 60_000)) };
}

const TOO_LATE = { kind: 'timed_out', detail: 'it waited too long for the rate limit of LiveKit' } as const;
const STOPPED = { kind: 'unavailable', code: null, detail: 'hangup was stopped meanwhile' } as const;

function isRateLimited(outcome: {
  readonly kind: string;
}): outcome is Extract<LiveKitFailure, { kind: 'rate_limited' }> {
  return outcome.kind === 'rate_limited';
}
