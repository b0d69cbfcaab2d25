import { type Call, clampTime } from './call.ts';
import { type CallChange, callEvent } from './call-change.ts';
import type { RoomDeletion } from './room-deletion.ts';
import { leaseDeletion, scheduleDeletion } from './schedule-deletion.ts';
import type { Timestamp } from './time.ts';

/** The request that cancels a call. */
export interface CancelCause {
  readonly apiKeyId: string;
  readonly reason: string | null;
  /** Null: a request for this call alone. */
  readonly cancellationId: string | null;
}

/** Returns a live call as cancelled, with the deletion of its room. */
export function cancelledCall(
  call: Call,
  { apiKeyId, reason, cancellationId }: CancelCause,
  {
    existing,
    now,
    leaseMs,
  }: {
    /** The call's deletion on record. */
    existing: RoomDeletion | null;
    now: Timestamp;
    /** Null: the deletion is due now. Otherwise the deletion is leased to the caller for this long. */
    leaseMs: number | null;
  },
): CallChange & { readonly deletions: readonly [RoomDeletion] } {
  const endedAt = clampTime(call, now, now);
  const cancelled = {
    ...call,
    status: 'cancelled',
    endedAt,
    cancelledBy: apiKeyId,
    cancelReason: reason,
    cancellationId,
    reviewAt: null,
    updatedAt: endedAt,
  } as const;
  const deletion =
    leaseMs === null
      ? scheduleDeletion(cancelled, existing, now)
      : leaseDeletion(cancelled, existing, { now, leaseMs });
  const event = callEvent(call, {
    at: now,
    action: 'call.status_changed',
    actor: 'api_key',
    actorId: apiKeyId,
    fromStatus: call.status,
    toStatus: 'cancelled',
    reason,
    cancellationId,
  });
  return { call: cancelled, isNew: false, deletions: [deletion], events: [event] };
}
