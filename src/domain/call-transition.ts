import { assess, type CallEnd, type CallPolicy, endOfSession } from './assess-call.ts';
import { type Call, clampTime } from './call.ts';
import { canTransition, isLive, type LiveStatus } from './call-status.ts';
import { type GuardDecision, guardAgainstEvent, NO_CHANGE } from './guard.ts';
import { impliedStatus } from './implied-status.ts';
import type { RoomEvent } from './room-event.ts';
import { newRoster, type Roster } from './roster.ts';
import {
  clampToNow,
  recordAudio,
  recordJoin,
  recordReportedLeave,
  recordRoomStart,
} from './roster-changes.ts';
import type { Timestamp } from './time.ts';

/** advance and end: of a live call. The others are decisions about the room of an ended call. */
export type Decision =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'advance'; readonly to: LiveStatus }
  | ({ readonly kind: 'end' } & CallEnd)
  | GuardDecision;

/** The change of a call by an event or an observation. */
export interface Transition {
  readonly decision: Decision;
  /** The call's roster after the change; the same object when the roster is unchanged. */
  readonly roster: Roster | null;
  /** When the roster must be assessed again; null: at the next event. */
  readonly reviewAt: Timestamp | null;
  /** The event's time, clamped by {@link clampTime}. */
  readonly at: Timestamp;
}

export interface DecisionContext {
  readonly policy: CallPolicy;
  readonly now: Timestamp;
  /** Whether an adoption prefix matches the room's name. */
  readonly isAdoptable: boolean;
}

/** Returns the change of a call by a webhook. */
export function applyRoomEvent(call: Call, event: RoomEvent, context: DecisionContext): Transition {
  const { policy, now } = context;
  const at = clampTime(call, event.at, now);
  const unchanged = { roster: call.roster, reviewAt: call.reviewAt, at };
  if (!isLive(call.status)) {
    const { decision, roster } = guardAgainstEvent(call, event, context);
    return { ...unchanged, decision, roster };
  }
  const sessionRoster = rosterOfSession(call, event, at);
  if (sessionRoster === null) return { ...unchanged, decision: NO_CHANGE };
  // A node that reports an event of the room is responsive.
  const roster = { ...rosterAfterEvent(clampToNow(sessionRoster, now), event, now), unresponsive: null };
  if (event.payload.kind === 'room_finished') {
    const end = endOfSession(call, roster, at);
    return { decision: endIfAllowed(call, end), roster: { ...roster, isFinished: true }, reviewAt: null, at };
  }
  return transitionFromRoster(call, roster, { policy, now, at, isConfirmed: false });
}

/** Returns the change of a live call that follows from its roster. */
export function transitionFromRoster(
  call: Call,
  roster: Roster,
  {
    policy,
    now,
    at,
    isConfirmed,
  }: {
    policy: CallPolicy;
    now: Timestamp;
    at: Timestamp;
    /** The roster is LiveKit's current list of participants. */
    isConfirmed: boolean;
  },
): Transition {
  const status = impliedStatus(roster);
  const advance: Decision = canTransition(call.status, status) ? { kind: 'advance', to: status } : NO_CHANGE;
  const assessment = assess(advance.kind === 'advance' ? { ...call, status } : call, roster, { policy, now });
  if (assessment.kind === 'goes_on') {
    return { decision: advance, roster, reviewAt: assessment.reviewAt, at };
  }
  return isConfirmed
    ? { decision: endIfAllowed(call, assessment.end), roster, reviewAt: null, at }
    : { decision: advance, roster, reviewAt: now, at };
}

/** Returns the call after a transition. */
export function applyTransition(
  call: Call,
  { decision, roster, reviewAt, at }: Transition,
  now: Timestamp,
): Call {
  // Only the roster of an ended call changes: it identifies returning participants.
  if (!isLive(call.status)) return { ...call, roster };
  const phone = roster?.firstPhone ?? null;
  const isAdopted = call.adoptedPrefix !== null;
  const updated: Call = {
    ...call,
    roster,
    reviewAt,
    roomId: roster?.sid ?? call.roomId,
    startedAt:
      call.startedAt ?? (roster === null ? null : Math.max(call.createdAt, Math.min(roster.createdAt, at))),
    // A registration is the source for its own call. For an adopted call, the first phone is the source.
    sipParticipantId: (isAdopted ? phone?.sid : null) ?? call.sipParticipantId ?? phone?.sid ?? null,
    phoneNumber: (isAdopted ? phone?.phoneNumber : null) ?? call.phoneNumber ?? phone?.phoneNumber ?? null,
    direction: (isAdopted ? phone?.direction : null) ?? call.direction,
    updatedAt: Math.max(call.updatedAt, now),
  };
  switch (decision.kind) {
    case 'advance':
      return {
        ...updated,
        status: decision.to,
        answeredAt: decision.to === 'active' ? Math.max(at, updated.startedAt ?? 0) : updated.answeredAt,
      };
    case 'end':
      return {
        ...updated,
        status: decision.status,
        endedAt: clampTime(updated, decision.at, now),
        failureReason: decision.failureReason,
        reviewAt: null,
      };
    default:
      return updated;
  }
}

/** Returns the roster of the event's session; null for an earlier session. */
function rosterOfSession({ roster }: Call, { room, payload }: RoomEvent, at: Timestamp): Roster | null {
  if (roster === null) return newRoster(room, at);
  if (roster.sid === room.sid) return roster.isFinished ? null : roster;
  // A later session can only start after the end of the earlier one, reported or not.
  const mayBegin = payload.kind === 'room_started' || payload.kind === 'participant_joined';
  return mayBegin && (room.createdAt ?? 0) > roster.createdAt ? newRoster(room, at) : null;
}

/** Returns the roster after an event of its session. */
export function rosterAfterEvent(
  before: Roster,
  { payload, room, ...event }: RoomEvent,
  now: Timestamp,
): Roster {
  const roster = { ...before, createdAt: room.createdAt ?? before.createdAt };
  switch (payload.kind) {
    case 'room_started':
      return recordRoomStart(roster, payload.reportedAt, now);
    case 'room_finished':
      return roster;
    case 'participant_joined':
      return recordJoin(roster, payload.participant, { noticedAt: now });
    case 'participant_left':
    case 'participant_connection_aborted':
      return recordReportedLeave(roster, payload, { at: event.at, noticedAt: now });
    case 'audio_published':
      return recordAudio(roster, payload.participantSid, now);
  }
}

/** Returns no change when the call cannot have this status any more. */
export function endIfAllowed(call: Call, end: CallEnd): Decision {
  return canTransition(call.status, end.status) ? { kind: 'end', ...end } : NO_CHANGE;
}
