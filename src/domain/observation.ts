import { type CallPolicy, endOfNode, endOfSession } from './assess-call.ts';
import { type Call, isLive } from './call.ts';
import {
  applyRoomEvent,
  endIfAllowed,
  NO_CHANGE,
  type Transition,
  transitionFromRoster,
} from './call-transition.ts';
import { guardAgainstList } from './guard.ts';
import type { RoomDeletion } from './room-deletion.ts';
import { type RoomRef, roomStartedEvent } from './room-event.ts';
import { MISSING_CONFIRM_MS, versionOf } from './roster.ts';
import { applyParticipantList, clampToNow, loseSuspects, type ParticipantList } from './roster-changes.ts';
import type { Timestamp } from './time.ts';

/**
 * A fact from a request to LiveKit, not from a webhook.
 * room: a listed room. participants: LiveKit's list for the room of a call. room_of_ended: the same, for an ended call.
 * room_absent: the room was not listed in two comparisons, and LiveKit, asked for it by name, has neither it nor
 * participants. never_started: no room of the call was ever seen. node: whether the room's node takes a message.
 * suspects: each member of a room that moved was asked for, and these (by sid) do not answer.
 */
export type Observation =
  | { readonly kind: 'room'; readonly room: RoomRef; readonly askedAt: Timestamp }
  | ({ readonly kind: 'participants'; readonly callId: string } & ParticipantList)
  | ({
      readonly kind: 'room_of_ended';
      readonly callId: string;
      readonly room: RoomRef;
    } & ParticipantList)
  | { readonly kind: 'room_absent'; readonly callId: string; readonly sid: string | null }
  | { readonly kind: 'never_started'; readonly callId: string }
  | { readonly kind: 'suspects'; readonly callId: string; readonly lost: readonly string[] }
  | {
      readonly kind: 'node';
      readonly callId: string;
      readonly isResponding: boolean;
      /** False right after LiveKit was away. */
      readonly isTrusted: boolean;
      readonly askedAt: Timestamp;
    };

export interface ObservationContext {
  readonly policy: CallPolicy;
  readonly now: Timestamp;
  readonly isAdoptable: boolean;
}

/** One silent moment of a node is not its death, however short the grace. */
const SHORTEST_SILENCE_MS = MISSING_CONFIRM_MS;

/** What an observation means for a call. */
export function applyObservation(
  call: Call,
  observation: Observation,
  circumstances: ObservationContext,
): Transition {
  const { policy, now } = circumstances;
  const roster = call.roster && clampToNow(call.roster, now);
  const unchanged: Transition = {
    decision: NO_CHANGE,
    roster: call.roster,
    reviewAt: call.reviewAt,
    at: now,
  };
  if (observation.kind === 'room_of_ended') {
    if (isLive(call.status)) return unchanged;
    const { room, ...list } = observation;
    return { ...unchanged, ...guardAgainstList(call, room, list, circumstances) };
  }
  if (!isLive(call.status)) return unchanged;
  switch (observation.kind) {
    case 'room': {
      const { room } = observation;
      const applied = applyRoomEvent(call, roomStartedEvent(room, now), circumstances);
      // A room stays listed when its node has died.
      const isSame = applied.roster !== null && applied.roster.sid === roster?.sid;
      const listed = isSame ? { ...applied.roster, unresponsive: roster.unresponsive } : null;
      return dropUnchanged(call, listed === null ? applied : conclude(call, listed, policy, now));
    }
    case 'participants': {
      if (roster === null) return unchanged;
      const seen = applyParticipantList(roster, observation, now);
      const isConfirmed = observation.version === versionOf(roster);
      return dropUnchanged(call, transitionFromRoster(call, seen, { policy, now, at: now, isConfirmed }));
    }
    case 'room_absent': {
      if (call.roomId !== observation.sid || !hasStarted(call)) return unchanged;
      const end = endIfAllowed(call, endOfSession(call, roster, now));
      return {
        ...unchanged,
        decision: end,
        roster: roster && { ...roster, isFinished: true },
        reviewAt: null,
      };
    }
    case 'never_started': {
      if (call.status !== 'initiated' || roster !== null) return unchanged;
      const end = { status: 'failed', failureReason: 'never started', at: now } as const;
      return { ...unchanged, decision: { kind: 'end', ...end }, reviewAt: null };
    }
    case 'suspects':
      return roster === null
        ? unchanged
        : dropUnchanged(call, conclude(call, loseSuspects(roster, observation.lost, now), policy, now));
    case 'node': {
      if (roster === null) return unchanged;
      const { isResponding, isTrusted, askedAt } = observation;
      if (isResponding)
        return dropUnchanged(call, conclude(call, { ...roster, unresponsive: null }, policy, now));
      // The grace counts from the first request of an unbroken series: while hangup or LiveKit was away, nobody asked.
      const graceMs = Math.max(policy.reconnectGraceMs, SHORTEST_SILENCE_MS);
      const last = isTrusted ? roster.unresponsive : null;
      const isSeries = last !== null && last.since <= askedAt && askedAt - last.lastAt <= 2 * graceMs;
      const since = isSeries ? last.since : askedAt;
      if (askedAt - since < graceMs) {
        const unresponsive = { since, lastAt: askedAt };
        return dropUnchanged(call, conclude(call, { ...roster, unresponsive }, policy, now));
      }
      return { ...unchanged, decision: endIfAllowed(call, endOfNode(call, roster, since)), reviewAt: null };
    }
  }
}

/** Whether the list of rooms shows the room of an ended call that has to be looked into, or deleted again. */
export function isRoomListedAfterEnd(
  { call, deletion }: { call: Call; deletion: RoomDeletion | null },
  askedAt: Timestamp,
  { policy, now }: { policy: CallPolicy; now: Timestamp },
): boolean {
  if (call.endedAt === null || now - call.endedAt > policy.recreatedRoomWindowMs || call.endedAt >= askedAt)
    return false;
  // A listed room is expected while its deletion is open or discarded.
  return deletion === null || (deletion.state === 'completed' && (deletion.finalizedAt ?? 0) < askedAt);
}

/** The first event of a late registration may be its room's end. */
const hasStarted = ({ status, roomId }: Call) => status !== 'initiated' || roomId !== null;

const conclude = (call: Call, roster: NonNullable<Call['roster']>, policy: CallPolicy, now: Timestamp) =>
  transitionFromRoster(call, roster, { policy, now, at: now, isConfirmed: false });

/** An observation that repeats what is known is not a change. */
function dropUnchanged(call: Call, applied: Transition): Transition {
  const isKnown = JSON.stringify(applied.roster) === JSON.stringify(call.roster);
  return isKnown ? { ...applied, roster: call.roster } : applied;
}
