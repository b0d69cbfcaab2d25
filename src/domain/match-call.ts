import type { Call } from './call.ts';
import type { CallSnapshot } from './call-change.ts';
import type { RoomEvent } from './room-event.ts';

/**
 * Returns the call that an event of a room belongs to: the live call, else the last call that ended, within the time in
 * which its room may be recreated or while the deletion of the room is open.
 * @returns `earlier_session` for a late event of the call before; null when the room belongs to no call
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
  // A late event of the call before must not be taken for the beginning of this one.
  if (newest.roomId === null && previousCall !== null) {
    const isEnd = payload.kind !== 'room_started' && payload.kind !== 'participant_joined';
    const isOfThen = room.createdAt !== null && room.createdAt <= (previousCall.endedAt ?? 0);
    if (previousCall.roomId === room.sid || (isEnd && isOfThen)) return 'earlier_session';
  }
  if (newest.endedAt === null || newest.endedAt >= now - recreatedRoomWindowMs) return newest;
  // A discarded deletion must not keep new callers out for ever.
  return incompleteDeletion === null || incompleteDeletion.state === 'discarded' ? null : newest;
}
