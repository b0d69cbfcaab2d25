import type { EndedStatus } from '../domain/call-status.ts';
import type { Pass } from '../domain/fleet.ts';
import type { AttemptResult } from '../domain/leased-task.ts';
import type { RateLimitPolicy } from '../domain/rate-limit.ts';
import type { RefusalReason } from '../domain/webhook-refusal.ts';

export const LOOPS = ['cancellations', 'deletions', 'reviews', 'rooms', 'phones'] as const;
/** A loop of the reconciler. */
export type Loop = (typeof LOOPS)[number];

/** Counters and timers. No method throws. Each label has a small set of values, whatever a sender puts into requests. */
export interface Metrics {
  /** Counts an ended call. */
  callEnded(status: EndedStatus): void;
  /** Records an attempt to delete a room. @param ageMs age of the deletion; for a cancel, the time since the cancel */
  deletionSettled(state: AttemptResult['state'], ageMs: number): void;
  /** Counts a rescued and deleted ghost room. */
  ghostRescued(): void;

  /** Records a request to LiveKit. @param request `code` is from a closed set, never a text from LiveKit */
  livekitRequest(request: { method: string; code: string; durationMs: number }): void;
  /** Sets the number of requests that wait for the rate limit. */
  livekitRequestsQueued(length: number): void;

  /** Sets the number of processes on the database, and the passes that this process runs. */
  fleetChanged(fleet: { members: number; passes: readonly Pass[] }): void;

  /** Counts a request that its rate limit refused. */
  rateLimited(policy: RateLimitPolicy): void;
  /** Counts a webhook. @param webhook `event` is null if the body was not parsed; `reason` is the reason of a 401 */
  webhook(webhook: { event: string | null; outcome: string; reason?: RefusalReason }): void;
  /** Counts an opened event stream as 1, and a closed one as -1. */
  eventStreams(change: 1 | -1): void;
  /** Counts a reader that was disconnected because it did not read its event stream. */
  eventReaderDropped(): void;
  /** Runs the function, records its duration and counts its error. Throws the same error. */
  timeLoop<T>(loop: Loop, run: () => Promise<T>): Promise<T>;
  /** Records a call of a store method. */
  storeOperation(call: { method: string; failed: boolean; durationMs: number }): void;
}
