import type { Call } from './call.ts';
import type { Participant, RoomEvent } from './room-event.ts';
import { newRoster, parties, presentMembers, type Roster } from './roster.ts';
import {
  applyParticipantList,
  type ParticipantList,
  recordJoin,
  recordReportedLeave,
  rosterOfNewCall,
} from './roster-changes.ts';
import type { Timestamp } from './time.ts';

/*
 * After a call ended, a room of its name may exist again: the call's own participants return, or new callers use the same
 * name (a direct or callee dispatch rule). The guard deletes only the former. It recognizes phones by sip.callID and
 * other participants by identity.
 */

/**
 * delete_room: the call's own participants use the room again.
 * begin_call: a new caller is in the room.
 * report_survival: the call ended because LiveKit's room list lacked the room, which is still in use.
 */
export type GuardDecision =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'delete_room'; readonly reason: string }
  /** `roster` is the first roster of the new call. */
  | { readonly kind: 'begin_call'; readonly roster: Roster }
  | { readonly kind: 'report_survival'; readonly reason: string };

interface GuardContext {
  readonly policy: { readonly recreatedRoomWindowMs: number };
  readonly now: Timestamp;
  readonly isAdoptable: boolean;
}

export const NO_CHANGE = { kind: 'nothing' } as const;

/** Decides on a webhook about the room of an ended call. */
export function guardAgainstEvent(
  call: Call,
  event: RoomEvent,
  context: GuardContext,
): { readonly decision: GuardDecision; readonly roster: Roster | null } {
  const { payload, id } = event;
  const unchanged = { decision: NO_CHANGE, roster: call.roster };
  if (!isGuarded(call, context)) return unchanged;
  const reason = `the room of an ended call was recreated: ${payload.kind} ${id}`;
  const earlier = { ...call, roster: withoutLaterSession(call.roster, event.room) };
  if (payload.kind === 'room_started') {
    const isCancelledRegistration = call.status === 'cancelled' && call.adoptedPrefix === null;
    return isCancelledRegistration ? { ...unchanged, decision: { kind: 'delete_room', reason } } : unchanged;
  }
  const roster = rosterOfEndedCall(earlier.roster, event, context.now);
  // The event belongs to an earlier or a finished session.
  if (roster === null) return unchanged;
  if (payload.kind !== 'participant_joined') return { decision: NO_CHANGE, roster };
  const isNewMember = !isMember(earlier.roster, payload.participant.sid);
  const decision = decideAfterEnd(earlier, [payload.participant], roster, { ...context, reason });
  // A late or duplicate join does not start a new call.
  return decision.kind === 'begin_call' && !isNewMember
    ? { decision: NO_CHANGE, roster }
    : { decision, roster };
}

/** Decides on LiveKit's participant list of a room whose call ended. */
export function guardAgainstList(
  call: Call,
  room: { readonly sid: string; readonly createdAt: Timestamp | null },
  list: ParticipantList,
  context: GuardContext,
): { readonly decision: GuardDecision; readonly roster: Roster | null } {
  if (!isGuarded(call, context)) return { decision: NO_CHANGE, roster: call.roster };
  const { now } = context;
  const earlier = { ...call, roster: withoutLaterSession(call.roster, room) };
  const isSameSession = call.roster?.sid === room.sid;
  const sessionRoster =
    isSameSession && call.roster !== null ? call.roster : rosterOfNextSession(earlier.roster, room, now);
  const roster = applyParticipantList({ ...sessionRoster, isFinished: false }, list, now);
  const reason = 'the room of an ended call is still in use';
  const decision = decideAfterEnd(earlier, list.participants, roster, { ...context, reason });
  // LiveKit's room list omitted a room that existed. hangup reports the error once, and never deletes the room for it.
  const hasEndedInError = isSameSession && (call.roster?.isFinished ?? false) && parties(roster).length > 0;
  if (!hasEndedInError) return { decision, roster: { ...roster, isFinished: sessionRoster.isFinished } };
  const count = parties(roster).length;
  return {
    decision: {
      kind: 'report_survival',
      reason: `its room ${room.sid} is still in use: ${count} ${count === 1 ? 'party' : 'parties'}`,
    },
    roster: { ...roster, isEndedInError: true },
  };
}

/**
 * Decides by the participants whether a deletion attempt may delete the room.
 * look_closer: the room may have a new caller. {@link guardAgainstList} decides, with the room's session.
 */
export function checkDeletion(
  call: Call,
  participants: readonly Participant[],
  { isAdoptable }: { readonly isAdoptable: boolean },
): 'delete' | 'keep' | 'look_closer' {
  const counted = participants.filter(isCounted);
  const isNew = (participant: Participant) => !wasInCall(call.roster, participant);
  if (call.status === 'cancelled') {
    const hasNewCaller = counted.some((participant) => isInboundPhone(participant) && isNew(participant));
    return isAdoptable && hasNewCaller ? 'look_closer' : 'delete';
  }
  const keep = isAdoptable ? 'look_closer' : 'keep';
  const presentParties = counted.filter(isParty);
  if (presentParties.length >= 2) return keep;
  const isLaterSession = counted.length > 0 && counted.every(({ sid }) => !isMember(call.roster, sid));
  const isPhoneBack = counted.some((participant) => participant.role === 'phone' && !isNew(participant));
  if (isLaterSession && !isPhoneBack) return keep;
  return isAdoptable && presentParties.some(isNew) ? 'look_closer' : 'delete';
}

/** True if a participant who joined after the call's end would be disconnected by the deletion. */
export function hasNewcomers(
  call: Call,
  participants: readonly Participant[],
  { isAdoptable }: { readonly isAdoptable: boolean },
): boolean {
  if (call.status === 'cancelled') {
    const isNewCaller = (participant: Participant) =>
      isInboundPhone(participant) && !wasInCall(call.roster, participant);
    return isAdoptable && participants.some(isNewCaller);
  }
  // LiveKit keeps listing the participants of a dead node, and their joins may never have been reported.
  const joinedAfterEnd = ({ joinedAt }: Participant) => joinedAt === null || joinedAt > (call.endedAt ?? 0);
  return participants.some(
    (participant) =>
      isParty(participant) && !isMember(call.roster, participant.sid) && joinedAfterEnd(participant),
  );
}

const isCounted = ({ role }: Participant) => role !== 'recorder' && role !== 'other';
const isParty = ({ role }: Participant) => role === 'phone' || role === 'person';
const isInboundPhone = ({ phone }: Participant) => phone?.ruleId != null;

const isMember = (roster: Roster | null, sid: string) =>
  (roster?.members ?? []).some((member) => member.sid === sid);

/** For this long after a cancel, the room is taken for the session of the cancelled call. */
const UNCHECKED_MS = 1_000;

/**
 * True if hangup deletes the room of a cancelled call without a check. A late or repeated attempt checks a room whose name
 * new callers may use: the deletions of a cancellation of many calls wait for each other, and for LiveKit.
 * @param deletion.ageMs since the deletion was scheduled; negative after the clock was set back
 */
export function isDeletedWithoutCheck(
  call: Pick<Call, 'status'>,
  deletion: { readonly isAdoptable: boolean; readonly attempt: number; readonly ageMs: number },
): boolean {
  if (call.status !== 'cancelled') return false;
  const { isAdoptable, attempt, ageMs } = deletion;
  return !isAdoptable || (attempt === 1 && ageMs >= 0 && ageMs <= UNCHECKED_MS);
}

function isGuarded({ endedAt }: Call, { policy, now }: GuardContext): boolean {
  return endedAt !== null && now - endedAt <= policy.recreatedRoomWindowMs;
}

function decideAfterEnd(
  call: Call,
  participants: readonly Participant[],
  roster: Roster,
  { isAdoptable, reason }: GuardContext & { readonly reason: string },
): GuardDecision {
  const counted = participants.filter(isCounted);
  if (counted.length === 0) return NO_CHANGE;
  const isNew = (participant: Participant) => !wasInCall(call.roster, participant);
  const begin = { kind: 'begin_call', roster: rosterOfNewCall(roster) } as const;
  const hasNewCaller = counted.some((participant) => isInboundPhone(participant) && isNew(participant));
  if (isAdoptable && hasNewCaller) return begin;
  if (call.status === 'cancelled') {
    // The agent of an adopted, cancelled call may join late and alone. LiveKit closes that room by itself.
    const isHarmless = (participant: Participant) =>
      call.adoptedPrefix !== null && participant.role === 'agent' && isNew(participant);
    return counted.every(isHarmless) ? NO_CHANGE : { kind: 'delete_room', reason };
  }
  const hasNewParty = counted.some((participant) => participant.role !== 'agent' && isNew(participant));
  if (isAdoptable && (hasNewParty || isConversation(roster))) return begin;
  const isPhoneBack =
    !roster.isEndedInError &&
    counted.some((participant) => participant.role === 'phone' && !isNew(participant));
  // Never end a conversation of two parties.
  return isPhoneBack && parties(roster).length < 2 ? { kind: 'delete_room', reason } : NO_CHANGE;
}

function isConversation(roster: Roster): boolean {
  if (parties(roster).length >= 2) return true;
  return presentMembers(roster, 'person').length > 0 && presentMembers(roster, 'agent').length > 0;
}

/** True if the participant was in the call, by the SIP call id of a phone or by identity. */
function wasInCall(roster: Roster | null, { identity, phone }: Participant): boolean {
  const callId = phone?.callId ?? null;
  return (roster?.members ?? []).some((member) =>
    callId === null
      ? member.identity === identity && (phone === null) === (member.phone === null)
      : member.phone?.callId === callId,
  );
}

/** Returns the ended call's roster after an event. Null: the event belongs to an earlier or a finished session. */
function rosterOfEndedCall(roster: Roster | null, event: RoomEvent, now: Timestamp): Roster | null {
  const { room, payload, at } = event;
  let current = roster;
  if (current === null || current.sid !== room.sid) {
    if (current !== null && (room.createdAt ?? 0) <= current.createdAt) return null;
    current = rosterOfNextSession(current, room, at);
  } else if (current.isFinished) {
    return null;
  }
  switch (payload.kind) {
    case 'participant_joined':
      return recordJoin(current, payload.participant, { noticedAt: now });
    case 'participant_left':
    case 'participant_connection_aborted':
      return recordReportedLeave(current, payload, { at, noticedAt: now });
    case 'room_finished':
      return { ...current, isFinished: true };
    default:
      return current;
  }
}

/**
 * Returns the roster without the participants of a later session. LiveKit lists participants by the room's name, so the list
 * of a live call has those of the next session while the end of the call's own session is not reported.
 */
function withoutLaterSession(
  roster: Roster | null,
  { sid, createdAt }: { readonly sid: string; readonly createdAt: Timestamp | null },
): Roster | null {
  if (roster === null || roster.sid === sid || createdAt === null || createdAt <= roster.createdAt)
    return roster;
  return {
    ...roster,
    members: roster.members.filter(({ joinedAt }) => joinedAt === null || joinedAt < createdAt),
  };
}

/** Returns the roster of a later session, with the earlier participants as members who left. */
function rosterOfNextSession(
  earlier: Roster | null,
  room: { readonly sid: string; readonly createdAt: Timestamp | null },
  at: Timestamp,
): Roster {
  const departure = { at, noticedAt: at, reason: 'ROOM_CLOSED', isReported: true, isAborted: false };
  const members = (earlier?.members ?? []).map((member) => ({
    ...member,
    departure: member.departure ?? { ...departure, sid: member.sid },
    missingSince: null,
  }));
  return { ...newRoster(room, at), members };
}
