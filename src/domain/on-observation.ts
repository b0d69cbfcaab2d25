import { type AdoptedCall, adoptRoom } from './adopt-room.ts';
import type { CallPolicy } from './assess-call.ts';
import type { Cause } from './audit.ts';
import type { Call } from './call.ts';
import {
  type AppliedChange,
  type CallDecision,
  type CallSelection,
  changeFromTransition,
  noChange,
  type SnapshotWith,
} from './call-change.ts';
import { isLive } from './call-status.ts';
import { NO_CHANGE } from './guard.ts';
import { cancelHeldCalls } from './hold.ts';
import { matchCall } from './match-call.ts';
import { applyObservation, isRoomListedAfterEnd, type Observation } from './observation.ts';
import { OPEN_DELETION_STATES, type RoomDeletion } from './room-deletion.ts';
import { roomStartedEvent } from './room-event.ts';

/** Applies a response of LiveKit. */
export interface ObservationCommand {
  readonly observation: Observation;
  readonly policy: CallPolicy;
  /** The call that the room becomes when a prefix adopts it; null when the observation has no room. */
  readonly adopted: AdoptedCall | null;
  /** Not null: a deletion that follows is leased to the caller for this long, as its first attempt. */
  readonly leaseMs: number | null;
}

type Decision = CallDecision<AppliedChange | null>;

/** Reasons in the audit log. */
const REASONS: Readonly<Record<Observation['kind'], string>> = {
  room: 'LiveKit listed the room',
  participants: 'LiveKit listed the participants',
  room_of_ended: 'LiveKit listed the participants',
  room_absent: 'the room is gone, and no webhook reported the end',
  never_started: 'the room was never observed',
  node: 'the node of the room does not respond',
  suspects: 'a participant of a dead node did not return',
};

const RELATED = [
  'isNewestInRoom',
  'deletion',
  'incompleteDeletion',
  'adoption',
  'holds',
  'runningCancellations',
] as const;
type Snapshot = SnapshotWith<(typeof RELATED)[number]>;

export function selectForObservation({ observation }: ObservationCommand): CallSelection {
  const target =
    observation.kind === 'room' ? { roomName: observation.room.name } : { callId: observation.callId };
  return { target, related: RELATED, newCallId: null, eventId: null, organizationId: null };
}

/**
 * The result is null when nothing follows from the observation. A call that an active hold selects after the observation is
 * cancelled by the same decision.
 */
export function onObservation(snapshot: Snapshot, command: ObservationCommand): Decision {
  return cancelHeldCalls(decideOnObservation(snapshot, command), snapshot);
}

function decideOnObservation(snapshot: Snapshot, command: ObservationCommand): Decision {
  const { observation, policy, leaseMs } = command;
  const { now, deletion, adoption } = snapshot;
  const cause = { actor: 'reconciler', actorId: null, reason: REASONS[observation.kind] } as const;
  const call =
    observation.kind === 'room'
      ? matchCall(snapshot, roomStartedEvent(observation.room, now), policy)
      : snapshot.call;
  if (call === 'earlier_session') return noChange(null);
  if (call === null) {
    return observation.kind === 'room'
      ? adoptListedRoom(snapshot, observation, command, cause)
      : noChange(null);
  }
  if (observation.kind === 'room' && !isLive(call.status)) {
    return onRoomListedAfterEnd(call, observation, snapshot, { policy, cause });
  }
  // The room of an ended call may belong to a newer call by now.
  if (observation.kind === 'room_of_ended' && !snapshot.isNewestInRoom) return noChange(null);
  const transition = applyObservation(call, observation, { policy, now, isAdoptable: adoption !== null });
  const isRoomGone = observation.kind === 'room_absent';
  const context = { cause, now, deletion, isRoomGone, leaseMs };
  // The attempt of the open deletion requested the list: scheduling the deletion again would take the attempt's lease.
  if (transition.decision.kind === 'delete_room' && isOpen(deletion)) {
    const { change, result } = changeFromTransition(call, { ...transition, decision: NO_CHANGE }, context);
    return decisionOf({ change, result: { ...result, decision: transition.decision, dueAt: null } });
  }
  const applied = changeFromTransition(call, transition, context);
  if (transition.decision.kind !== 'begin_call' || observation.kind !== 'room_of_ended') {
    return decisionOf(applied);
  }
  const adopted = adoptListedRoom(snapshot, observation, command, cause, transition.decision.roster);
  const { changes } = decisionOf(applied);
  return { ...adopted, changes: [...changes, ...adopted.changes] };
}

function decisionOf({
  change,
  result,
}: ReturnType<typeof changeFromTransition>): CallDecision<AppliedChange> {
  return { ...noChange(result), changes: change === null ? [] : [change] };
}

function adoptListedRoom(
  snapshot: Snapshot,
  { room }: Extract<Observation, { kind: 'room' | 'room_of_ended' }>,
  { adopted, policy }: ObservationCommand,
  cause: Cause,
  roster: Call['roster'] = null,
): Decision {
  const event = roomStartedEvent(room, snapshot.now);
  const applied = adopted && adoptRoom(snapshot, event, { adopted, roster, cause, policy });
  return applied === null ? noChange(null) : decisionOf(applied);
}

/** Deletes the room of a cancelled registered call again. In all other rooms the participants decide. */
function onRoomListedAfterEnd(
  call: Call,
  { requestedAt }: Extract<Observation, { kind: 'room' }>,
  { deletion, adoption, now }: Snapshot,
  { policy, cause }: { policy: CallPolicy; cause: Cause },
): Decision {
  if (!isRoomListedAfterEnd({ call, deletion }, requestedAt, { policy, now })) return noChange(null);
  const isDeleted = call.status === 'cancelled' && call.adoptedPrefix === null && adoption === null;
  const decision = isDeleted
    ? ({ kind: 'delete_room', reason: 'the room of an ended call is still listed' } as const)
    : NO_CHANGE;
  const transition = { decision, roster: call.roster, reviewAt: call.reviewAt, at: now };
  const context = { cause, now, deletion, isRoomGone: false, leaseMs: null };
  const { change, result } = changeFromTransition(call, transition, context);
  return decisionOf({ change, result: { ...result, isListedAfterEnd: !isDeleted } });
}

function isOpen(deletion: RoomDeletion | null): boolean {
  return OPEN_DELETION_STATES.some((state) => state === deletion?.state);
}
