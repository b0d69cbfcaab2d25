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
 * A response of LiveKit to a request, in contrast to a webhook.
 * room: a listed room. participants: LiveKit's list for the room of a call. room_of_ended: the same, for an ended call.
 * room_absent: two lists of rooms lack the room, and requests by its name found neither the room nor participants.
 * never_started: no room of the call was ever observed. node: whether the room's node accepts a message.
 * suspects: the sids of the members of a moved room that did not respond to a probe.
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
      /** False right after LiveKit was unreachable. */
      readonly isTrusted: boolean;
      readonly askedAt: Timestamp;
    };

export interface ObservationContext {
  readonly policy: CallPolicy;
  readonly now: Timestamp;
  readonly isAdoptable: boolean;
}

/** A node is dead only after this silence, however short the grace period is. */
const SHORTEST_SILENCE_MS = MISSING_CONFIRM_MS;

/** Returns the change of a call by an observation. */
export function applyObservation(
  call: Call,
  observation: Observation,
  context: ObservationContext,
): Transition {
  const { policy, now } = context;
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
    return { ...unchanged, ...guardAgainstList(call, room, list, context) };
  }
  if (!isLive(call.status)) return unchanged;
  switch (observation.kind) {
    case 'room': {
      const { room } = observation;
      const applied = applyRoomEvent(call, roomStartedEvent(room, now), context);
      // A room of a dead node stays listed.
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
      // The grace period counts from the first of a series of requests without a gap: no request was sent during a gap.
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

/** Whether a listed room of an ended call must be inspected or deleted again. */
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

/** The first event of a late registration can be the end of its room. */
const hasStarted = ({ status, roomId }: Call) => status !== 'initiated' || roomId !== null;

const conclude = (call: Call, roster: NonNullable<Call['roster']>, policy: CallPolicy, now: Timestamp) =>
  transitionFromRoster(call, roster, { policy, now, at: now, isConfirmed: false });

/** Returns the roster on record when the observation repeats it, so that nothing is written. */
function dropUnchanged(call: Call, applied: Transition): Transition {
  const isKnown = JSON.stringify(applied.roster) === JSON.stringify(call.roster);
  return isKnown ? { ...applied, roster: call.roster } : applied;
}
