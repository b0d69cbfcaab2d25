import { type CallPolicy, endOfNode, endOfSession } from './assess-call.ts';
import type { Call } from './call.ts';
import { isLive } from './call-status.ts';
import { applyRoomEvent, endIfAllowed, type Transition, transitionFromRoster } from './call-transition.ts';
import { guardAgainstList, NO_CHANGE } from './guard.ts';
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
  | { readonly kind: 'room'; readonly room: RoomRef; readonly requestedAt: Timestamp }
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
      readonly requestedAt: Timestamp;
    };

export interface ObservationContext {
  readonly policy: CallPolicy;
  readonly now: Timestamp;
  readonly isAdoptable: boolean;
}

/** A node counts as dead only after this silence, however short the grace period is. */
const MIN_SILENCE_MS = MISSING_CONFIRM_MS;

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
      const transition = applyRoomEvent(call, roomStartedEvent(room, now), context);
      const isSameSession = transition.roster !== null && transition.roster.sid === roster?.sid;
      if (!isSameSession) return keepEqualRoster(call, transition);
      // A room of a dead node stays listed, so the list does not show that the node responds.
      const listed = { ...transition.roster, unresponsive: roster.unresponsive };
      return keepEqualRoster(call, assessRoster(call, listed, policy, now));
    }
    case 'participants': {
      if (roster === null) return unchanged;
      const updated = applyParticipantList(roster, observation, now);
      // A departure after the request may be missing from the list.
      const isConfirmed = observation.version === versionOf(roster);
      return keepEqualRoster(
        call,
        transitionFromRoster(call, updated, { policy, now, at: now, isConfirmed }),
      );
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
        : keepEqualRoster(call, assessRoster(call, loseSuspects(roster, observation.lost, now), policy, now));
    case 'node': {
      if (roster === null) return unchanged;
      const { isResponding, isTrusted, requestedAt } = observation;
      if (isResponding)
        return keepEqualRoster(call, assessRoster(call, { ...roster, unresponsive: null }, policy, now));
      // The grace period counts from the first request of a series. After a gap in the requests, a new series begins.
      const graceMs = Math.max(policy.reconnectGraceMs, MIN_SILENCE_MS);
      const last = isTrusted ? roster.unresponsive : null;
      const isSeries = last !== null && last.since <= requestedAt && requestedAt - last.lastAt <= 2 * graceMs;
      const since = isSeries ? last.since : requestedAt;
      if (requestedAt - since < graceMs) {
        const unresponsive = { since, lastAt: requestedAt };
        return keepEqualRoster(call, assessRoster(call, { ...roster, unresponsive }, policy, now));
      }
      return { ...unchanged, decision: endIfAllowed(call, endOfNode(call, roster, since)), reviewAt: null };
    }
  }
}

/** Whether a listed room of an ended call must be inspected or deleted again. */
export function isRoomListedAfterEnd(
  { call, deletion }: { call: Call; deletion: RoomDeletion | null },
  requestedAt: Timestamp,
  { policy, now }: { policy: CallPolicy; now: Timestamp },
): boolean {
  if (
    call.endedAt === null ||
    now - call.endedAt > policy.recreatedRoomWindowMs ||
    call.endedAt >= requestedAt
  )
    return false;
  // A listed room is expected while its deletion is open or discarded.
  return deletion === null || (deletion.state === 'completed' && (deletion.finalizedAt ?? 0) < requestedAt);
}

/** The first event of a late registration can be the end of its room. */
const hasStarted = ({ status, roomId }: Call) => status !== 'initiated' || roomId !== null;

const assessRoster = (call: Call, roster: NonNullable<Call['roster']>, policy: CallPolicy, now: Timestamp) =>
  transitionFromRoster(call, roster, { policy, now, at: now, isConfirmed: false });

/** Replaces an equal roster by the roster on record: the store writes a call only if the object differs. */
function keepEqualRoster(call: Call, transition: Transition): Transition {
  const isEqual = JSON.stringify(transition.roster) === JSON.stringify(call.roster);
  return isEqual ? { ...transition, roster: call.roster } : transition;
}
