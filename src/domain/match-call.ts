import type { Call } from './call.ts';
import type { CallSnapshot } from './call-change.ts';
import type { RoomEvent } from './room-event.ts';

/**
 * Returns the call that an event of a room belongs to: the live call, or the newest ended call while its room may be
 * recreated or the deletion of the room is open.
 * @returns `earlier_session` for a late event of the previous call; null when the room does not belong to a call
 */
export function matchCall(
  {
    call: newest,
    previousCall,
    incompleteDeletion,
    now,
  }: Pick<CallSnapshot, 'call' | 'previousCall' | 'incompleteDeletion' | 'now'>,
  { room, payload }: Pick<RoomEvent, 'room' | 'payload'>,
  { recreatedRoomWindowMs }: { readonly recreatedRoomWindowMs: number },
): Call | 'earlier_session' | null {
  if (newest === null) return null;
  // A late event of the previous call must not count as the beginning of the newest call.
  if (newest.roomId === null && previousCall !== null) {
    const mayBegin = payload.kind === 'room_started' || payload.kind === 'participant_joined';
    const isOlderRoom = room.createdAt !== null && room.createdAt <= (previousCall.endedAt ?? 0);
    if (previousCall.roomId === room.sid || (!mayBegin && isOlderRoom)) return 'earlier_session';
  }
  if (newest.endedAt === null || newest.endedAt >= now - recreatedRoomWindowMs) return newest;
  // A discarded deletion must not keep new callers out forever.
  return incompleteDeletion === null || incompleteDeletion.state === 'discarded' ? null : newest;
}
