import type { EndedStatus } from '../domain/call.ts';
import type { AttemptResult } from '../domain/leased-task.ts';
import type { RefusalReason } from '../domain/webhook-refusal.ts';

export const LOOPS = ['deletions', 'reviews', 'rooms', 'phones'] as const;
/** What the reconciler does again and again. */
export type Loop = (typeof LOOPS)[number];

/** What is counted and timed as it happens. No method throws; each label has few values, whatever is sent to us. */
export interface Metrics {
  /** A call ended, by whatever way. */
  callEnded(status: EndedStatus): void;
  /** An attempt at a room ended. @param ageMs since the deletion was written down: for a cancel, since the cancel */
  deletionSettled(state: AttemptResult['state'], ageMs: number): void;
  /** A room whose node died was taken over and deleted. */
  ghostRescued(): void;

  /** @param request its method is LiveKit's name; its code is of a closed set, never LiveKit's own words */
  livekitRequest(request: { method: string; code: string; durationMs: number }): void;
  /** Requests that wait for their turn at LiveKit. */
  livekitRequestsQueued(length: number): void;

  /** @param webhook its event is LiveKit's name of it, null when it was not read; its reason that of a 401 */
  webhook(webhook: { event: string | null; outcome: string; reason?: RefusalReason }): void;
  /** Runs a pass and times it, well or not. */
  timeLoop<T>(pass: Loop, run: () => Promise<T>): Promise<T>;
  storeOperation(call: { method: string; failed: boolean; durationMs: number }): void;
}
