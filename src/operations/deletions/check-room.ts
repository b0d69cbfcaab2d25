import { checkDeletion, hasNewcomers, isDeletedWithoutCheck } from '../../domain/guard.ts';
import { isNodeUnresponsive, type LiveKitError } from '../../domain/livekit-error.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import { NODE_LOST } from '../../domain/roster.ts';
import type { RequestOptions } from '../../ports/livekit.ts';
import type { DeletionSubject } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { recordObservation } from '../livekit/record-observation.ts';

export type RoomCheck =
  | { readonly kind: 'delete' }
  | { readonly kind: 'keep'; readonly reason: string }
  | LiveKitError;

const DELETE = { kind: 'delete' } as const;
/** The reason is written to the audit log. */
const KEEP = { kind: 'keep', reason: 'other participants use the room' } as const;
/** LiveKit's list may leave out a live room (livekit#3317, #3680). */
const UNLISTED = {
  kind: 'unavailable',
  code: null,
  detail: 'LiveKit lists participants of the room but not the room',
} as const;

/**
 * Returns whether a deletion may delete the room. DeleteRoom deletes by name, and a newer call may use this name. A room
 * with two parties is kept, unless its call was cancelled.
 */
export async function checkRoom(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  subject: DeletionSubject,
  options: RequestOptions,
): Promise<RoomCheck> {
  const { attempt, createdAt } = deletion;
  const ageMs = dependencies.clock.now() - createdAt;
  if (isDeletedWithoutCheck(subject.call, { ...subject, attempt, ageMs })) return DELETE;
  const check = await checkParticipants(dependencies, subject, options);
  if (check.kind !== 'delete' || (await holdsLease(dependencies.store, deletion))) return check;
  return KEEP;
}

async function checkParticipants(
  dependencies: Dependencies,
  subject: DeletionSubject,
  options: RequestOptions,
): Promise<RoomCheck> {
  const { rooms, clock } = dependencies;
  const { call } = subject;
  const { id: callId, roomName } = call;
  let isNodeDead = false;
  if (call.failureReason === NODE_LOST) {
    const probed = await rooms.probeNode(roomName, options);
    isNodeDead = isNodeUnresponsive(probed);
    if (!isNodeDead && probed.kind !== 'responding' && probed.kind !== 'absent') return probed;
  }
  const requestedAt = clock.now();
  const listed = await rooms.listParticipants(roomName, options);
  if (listed.kind !== 'listed') return listed;
  const { participants } = listed;
  // LiveKit still lists the lost participants of a dead node. New callers may have joined during the probe's 3 s.
  if (isNodeDead && !hasNewcomers(call, participants, subject)) return DELETE;
  const check = checkDeletion(call, participants, subject);
  if (check === 'delete') return DELETE;
  if (check === 'keep') return KEEP;
  const found = await rooms.findRoom(roomName, options);
  if (found.kind === 'absent') return participants.length === 0 ? DELETE : UNLISTED;
  if (found.kind !== 'listed') return found;
  const { room } = found;
  const list = { participants, requestedAt, version: '', isTrusted: false };
  const applied = await recordObservation(dependencies, { kind: 'room_of_ended', callId, room, ...list });
  if (applied?.decision.kind === 'delete_room') return DELETE;
  // Null: a newer call uses this room name.
  const isUsedByOtherCall = applied === null || applied.wasAdopted;
  return isUsedByOtherCall || call.status !== 'cancelled' ? KEEP : DELETE;
}

/** Whether the deletion is still leased to this attempt: a newer call in the room may have completed the deletion. */
export async function holdsLease(
  store: Dependencies['store'],
  { callId, attempt }: RoomDeletion,
): Promise<boolean> {
  const { deletion = null } = (await store.findCall(callId)) ?? {};
  return deletion?.state === 'running' && deletion.attempt === attempt;
}

/** Whether no new caller is listed since the check, and the deletion is still leased to this attempt. */
export async function isStillDeletable(
  { store, rooms }: Dependencies,
  deletion: RoomDeletion,
  options: RequestOptions,
): Promise<boolean> {
  const listed = await rooms.listParticipants(deletion.roomName, options);
  const subject = await store.findDeletionSubject(deletion.callId);
  if (listed.kind !== 'listed' || subject === null) return false;
  return !hasNewcomers(subject.call, listed.participants, subject) && (await holdsLease(store, deletion));
}
