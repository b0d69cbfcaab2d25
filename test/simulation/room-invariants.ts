import { isLive } from '../../src/domain/call-status.ts';
import { InvariantViolation } from './event-log.ts';
import { PREFIX } from './shared-rooms.ts';
import type { World } from './world.ts';

/* Invariants of rooms and calls after the last fault. */

/** A cancelled call has no room, and no other ended call has a lone phone in its room. */
export function assertEndedCallsHaveNoRoom({ livekit, database }: World): void {
  for (const roomName of livekit.rooms.roomNames()) {
    const last = database.callsIn(roomName).at(-1);
    if (last === undefined || isLive(last.status)) continue;
    const parties = livekit.attendance.inRoom(roomName);
    const isPhoneAlone = parties.length === 1 && parties.some(({ isPhone }) => isPhone);
    // The agent of a cancelled call may join late and alone. LiveKit closes that room by itself.
    const isOver = parties.length === 0 && roomName.startsWith(PREFIX);
    if (isPhoneAlone || (last.status === 'cancelled' && !isOver)) {
      throw new InvariantViolation(
        `the room of call ${last.id} lives, and the call is ${last.status}`,
        roomName,
      );
    }
  }
}

/** The room of a dead node stays listed, but its call must end. */
export function assertNodesOfLiveCallsAnswer({ livekit, database }: World): void {
  for (const roomName of livekit.ghosts) {
    const live = database.callsIn(roomName).find(({ status }) => isLive(status));
    if (live !== undefined) {
      throw new InvariantViolation(
        `call ${live.id} is ${live.status}, and the node of its room is dead`,
        roomName,
      );
    }
  }
}

export function assertLiveCallsHaveRooms({ livekit, database }: World): void {
  const rooms = new Set(livekit.rooms.roomNames());
  for (const { id, status, roomName } of database.all()) {
    if (isLive(status) && !rooms.has(roomName)) {
      throw new InvariantViolation(`call ${id} is ${status}, and has no room`, roomName);
    }
  }
}

export function assertEndlessCallsGoOn({ endless, livekit, database }: World): void {
  for (const [id, { roomName }] of endless) {
    // LiveKit closes an old room at once if an agent is the first to return after the node died.
    if (livekit.attendance.closedRooms.has(roomName)) continue;
    const { status, cancellationId } = database.find(id) ?? {};
    if (cancellationId) continue;
    if (status === undefined || !isLive(status)) {
      throw new InvariantViolation(`call ${id} is ${status}, and nobody ended it`, roomName);
    }
    const present = livekit.rooms.listParticipants(roomName).map(({ identity }) => identity);
    if (present.length !== 2)
      throw new InvariantViolation(`call ${id} has only ${present.join()} in its room`, roomName);
  }
}

/** Every room with the prefix was adopted, and every phone in such a room has a live call. */
export function assertRoomsAreCalls({ livekit, database }: World): void {
  for (const roomName of livekit.rooms.roomNames()) {
    const last = database.callsIn(roomName).at(-1);
    const hasPhone = livekit.attendance.inRoom(roomName).some(({ isPhone }) => isPhone);
    if (roomName.startsWith(PREFIX) && (last === undefined || (hasPhone && !isLive(last.status)))) {
      throw new InvariantViolation(`the room ${roomName} was not adopted`, roomName);
    }
  }
}

export function assertDeletionsAreComplete({ database }: World): void {
  const [open] = database.openDeletions();
  if (open === undefined) return;
  const { callId, roomName, state, attempt, lastError } = open;
  throw new InvariantViolation(
    `the deletion of call ${callId} is ${state} at attempt ${attempt} (${lastError})`,
    roomName,
  );
}
