import type { CallPolicy } from './assess-call.ts';
import type { Cause } from './audit.ts';
import { newCall, nextCreatedAt } from './call.ts';
import {
  type AppliedChange,
  type CallChange,
  type CallSnapshot,
  callEvent,
  changeFromTransition,
} from './call-change.ts';
import { applyRoomEvent } from './call-transition.ts';
import type { RoomEvent } from './room-event.ts';
import type { Roster } from './roster.ts';
import { completeDeletion } from './schedule-deletion.ts';

/** The call that an unregistered room becomes. */
export interface AdoptedCall {
  readonly id: string;
  /** From the room's metadata. */
  readonly agentId: string | null;
}

/**
 * Makes a call of an unregistered room whose name begins with an adoption prefix, when the room starts or a participant
 * joins, and applies the event to the call.
 * @param roster the participants that the call begins with, in the session of an ended call
 * @returns null when the room does not become a call
 */
export function adoptRoom(
  {
    call: newest,
    adoption,
    incompleteDeletion,
    now,
  }: Pick<CallSnapshot, 'call' | 'adoption' | 'incompleteDeletion' | 'now'>,
  event: RoomEvent,
  {
    adopted,
    roster,
    cause,
    policy,
  }: { adopted: AdoptedCall; roster: Roster | null; cause: Cause; policy: CallPolicy },
): { change: CallChange; result: AppliedChange } | null {
  const { room, payload } = event;
  if (payload.kind !== 'room_started' && payload.kind !== 'participant_joined') return null;
  if (adoption === null) return null;
  const { prefix, organizationId } = adoption;
  // The session of an ended call may be much older than the new call.
  const startedAt = roster === null ? (room.createdAt ?? now) : now;
  const call = newCall({
    id: adopted.id,
    organizationId,
    roomName: room.name,
    roster,
    // Until its first phone shows the direction. Unregistered calls are usually inbound.
    direction: 'inbound',
    adoptedPrefix: prefix,
    agentId: adopted.agentId,
    createdAt: nextCreatedAt(Math.min(now, startedAt), newest),
  });
  const created = callEvent(call, {
    ...cause,
    at: now,
    action: 'call.created',
    toStatus: call.status,
    reason: `adopted by the prefix ${prefix}`,
  });
  const transition = applyRoomEvent(call, event, { policy, now, isAdoptable: false });
  const { change, result } = changeFromTransition(call, transition, {
    cause,
    now,
    deletion: null,
    isRoomGone: false,
    leaseMs: null,
  });
  const completed = incompleteDeletion === null ? [] : [completeDeletion(incompleteDeletion, now)];
  return {
    change: {
      call: change?.call ?? call,
      isNew: true,
      deletions: [...completed, ...(change?.deletions ?? [])],
      events: [created, ...(change?.events ?? [])],
    },
    result: { ...result, wasAdopted: true },
  };
}
