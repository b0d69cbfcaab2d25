import type { Call } from './call.ts';
import type { RoomDeletion } from './room-deletion.ts';
import type { Timestamp } from './time.ts';

type RoomOfCall = Pick<Call, 'id' | 'roomName' | 'cancellationId'>;

/**
 * Returns the deletion of a call's room, due now, whatever its state was. A running attempt loses its lease: it may have
 * deleted the room before the room was recreated.
 */
export function scheduleDeletion(
  { id: callId, roomName, cancellationId }: RoomOfCall,
  existing: RoomDeletion | null,
  now: Timestamp,
): RoomDeletion {
  return {
    ...(existing ?? { callId, roomName, attempt: 0, attemptedAt: null }),
    cancellationId,
    state: 'available',
    scheduledAt: now,
    finalizedAt: null,
    lastError: null,
    createdAt: now,
  };
}

/** Returns the deletion of a call's room, leased to the caller as its next attempt. */
export function leaseDeletion(
  { id: callId, roomName, cancellationId }: RoomOfCall,
  existing: RoomDeletion | null,
  { now, leaseMs }: { now: Timestamp; leaseMs: number },
): RoomDeletion {
  const { attempt } = existing ?? { attempt: 0 };
  return {
    ...(existing ?? { callId, roomName }),
    cancellationId,
    state: 'running',
    attempt: attempt + 1,
    scheduledAt: now + leaseMs,
    attemptedAt: now,
    finalizedAt: null,
    lastError: null,
    createdAt: now,
  };
}

/** Returns the deletion as complete, because a newer call uses the room name: a deletion is for one session of a room. */
export function completeDeletion(deletion: RoomDeletion, now: Timestamp): RoomDeletion {
  return {
    ...deletion,
    state: 'completed',
    // A completed deletion has an attempt, by the table's constraint.
    attempt: Math.max(deletion.attempt, 1),
    attemptedAt: deletion.attemptedAt ?? now,
    finalizedAt: now,
  };
}
