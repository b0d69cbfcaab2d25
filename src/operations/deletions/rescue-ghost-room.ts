import type { LiveKitError } from '../../domain/livekit-error.ts';
import type { DeleteRoomOutcome, RoomDeletion } from '../../domain/room-deletion.ts';
import type { RequestOptions } from '../../ports/livekit.ts';
import type { Dependencies } from '../dependencies.ts';
import { isStillDeletable } from './check-room.ts';

/** FindRoom, CreateRoom, DeleteRoom and two checks. All of them must end before the lease. */
const RESCUE_REQUESTS = 5;
const SETTLE_BUDGET_MS = 1_000;
const MAX_RESCUE_REQUEST_MS = 4_000;
/** Longer than the DeleteRoom that follows. If that fails, the room closes by itself after this time. */
const RESCUE_EMPTY_TIMEOUT_S = 10;

/**
 * Deletes a ghost room, whose node died. LiveKit lists the room forever and never answers its deletion (livekit#3766).
 * After a CreateRoom with its name, the room is on a living node, and DeleteRoom works.
 * @returns null if the room is not a ghost, or the rescue failed
 */
export async function rescueGhostRoom(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  { priority }: Pick<RequestOptions, 'priority'>,
): Promise<Exclude<DeleteRoomOutcome, LiveKitError> | null> {
  const { rooms, clock } = dependencies;
  const { roomName, scheduledAt: leaseEndsAt } = deletion;
  const perRequestMs = Math.floor((leaseEndsAt - clock.now() - SETTLE_BUDGET_MS) / RESCUE_REQUESTS);
  if (perRequestMs <= 0) return null;
  const options = { timeoutMs: Math.min(perRequestMs, MAX_RESCUE_REQUEST_MS), priority };
  // Each request takes seconds, in which a new caller may use the room.
  if (!(await isStillDeletable(dependencies, deletion, options))) return null;
  // LiveKit's list may leave out a live room, so absence from it proves nothing.
  if ((await rooms.findRoom(roomName, options)).kind !== 'listed') return null;
  const created = await rooms.createRoom({ roomName, emptyTimeoutS: RESCUE_EMPTY_TIMEOUT_S }, options);
  if (created.kind !== 'created') return null;
  if (!(await isStillDeletable(dependencies, deletion, options))) return null;
  const outcome = await rooms.deleteRoom(roomName, options);
  return outcome.kind === 'deleted' || outcome.kind === 'absent' ? outcome : null;
}
