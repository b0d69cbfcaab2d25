import { type AdoptedCall, adoptRoom } from './adopt-room.ts';
import type { CallPolicy } from './assess-call.ts';
import {
  type AppliedChange,
  type CallDecision,
  type CallSelection,
  changeFromTransition,
  noChange,
  type SnapshotWith,
} from './call-change.ts';
import { applyRoomEvent } from './call-transition.ts';
import { cancelHeldCalls } from './hold.ts';
import { matchCall } from './match-call.ts';
import type { RoomEvent } from './room-event.ts';
import type { Roster } from './roster.ts';

/** Applies one webhook of LiveKit. */
export interface RoomEventCommand {
  readonly event: RoomEvent;
  readonly policy: CallPolicy;
  /** The call that the room becomes when a prefix adopts it. */
  readonly adopted: AdoptedCall;
}

export type RoomEventResult =
  | { readonly kind: 'duplicate' }
  /** The room belongs to no call, and no prefix adopts it. */
  | { readonly kind: 'unknown_room' }
  | AppliedChange;

const RELATED = ['deletion', 'incompleteDeletion', 'adoption', 'holds', 'runningCancellations'] as const;

export function selectForRoomEvent({ event }: RoomEventCommand): CallSelection {
  return {
    target: { roomName: event.room.name },
    related: RELATED,
    newCallId: null,
    eventId: event.id,
    organizationId: null,
  };
}

type Snapshot = SnapshotWith<(typeof RELATED)[number]>;

/** Cancels, by the same decision, a call that an active hold selects after the event. */
export function onRoomEvent(snapshot: Snapshot, command: RoomEventCommand): CallDecision<RoomEventResult> {
  return cancelHeldCalls(decideOnRoomEvent(snapshot, command), snapshot);
}

function decideOnRoomEvent(
  snapshot: Snapshot,
  { event, policy, adopted }: RoomEventCommand,
): CallDecision<RoomEventResult> {
  if (snapshot.isDuplicateEvent) return noChange({ kind: 'duplicate' });
  const { now, deletion } = snapshot;
  const unknown = { ...noChange({ kind: 'unknown_room' } as const), receivedEventId: event.id };
  const call = matchCall(snapshot, event, policy);
  if (call === 'earlier_session') return unknown;
  const cause = { actor: 'livekit', actorId: event.id, reason: reasonOf(event) } as const;
  const adopt = (roster: Roster | null) => adoptRoom(snapshot, event, { adopted, roster, cause, policy });
  if (call === null) {
    const adoption = adopt(null);
    return adoption === null ? unknown : { ...unknown, changes: [adoption.change], result: adoption.result };
  }
  const transition = applyRoomEvent(call, event, {
    policy,
    now,
    isAdoptable: snapshot.adoption !== null,
  });
  const isRoomGone = event.payload.kind === 'room_finished';
  const applied = changeFromTransition(call, transition, { cause, now, deletion, isRoomGone, leaseMs: null });
  const changes = applied.change === null ? [] : [applied.change];
  const { decision } = transition;
  const adoption = decision.kind === 'begin_call' ? adopt(decision.roster) : null;
  if (adoption === null) return { ...unknown, changes, result: applied.result };
  return { ...unknown, changes: [...changes, adoption.change], result: adoption.result };
}

/** Returns the reason in the audit log. */
function reasonOf({ payload }: RoomEvent): string {
  return 'reason' in payload ? `${payload.kind}: ${payload.reason}` : payload.kind;
}
