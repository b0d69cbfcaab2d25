import type { Call } from './call.ts';
import type { Participant, RoomEvent } from './room-event.ts';
import { newRoster, parties, presentMembers, type Roster } from './roster.ts';
import {
  applyParticipantList,
  join,
  leave,
  type ParticipantList,
  rosterOfNewCall,
} from './roster-changes.ts';
import type { Timestamp } from './time.ts';

/*
 * After a call ended, a room of its name may exist again: the call's own participants return, or new callers use the same
 * name (a direct or callee dispatch rule). The guard deletes only the former. It recognizes phones by sip.callID and
 * other participants by identity.
 */

export type AfterEnd =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'delete_room'; readonly why: string }
  /** `roster` is the first roster of the new call. */
  | { readonly kind: 'begin_call'; readonly roster: Roster }
  | { readonly kind: 'report_survival'; readonly why: string };

interface GuardContext {
  readonly policy: { readonly recreatedRoomWindowMs: number };
  readonly now: Timestamp;
  readonly isAdoptable: boolean;
}

const NO_CHANGE = { kind: 'nothing' } as const;

/** Decides on a webhook about the room of an ended call. */
export function guardAgainstEvent(
  call: Call,
  event: RoomEvent,
  circumstances: GuardContext,
): { readonly decision: AfterEnd; readonly roster: Roster | null } {
  const { payload, id } = event;
  const unchanged = { decision: NO_CHANGE, roster: call.roster };
  if (!isGuarded(call, circumstances)) return unchanged;
  const why = `the room of an ended call was recreated: ${payload.kind} ${id}`;
  if (payload.kind === 'room_started') {
    const isCancelledRegistration = call.status === 'cancelled' && call.adoptedPrefix === null;
    return isCancelledRegistration ? { ...unchanged, decision: { kind: 'delete_room', why } } : unchanged;
  }
  const roster = rosterAfterEvent(call.roster, event, circumstances.now);
  // The event belongs to an earlier or a finished session.
  if (roster === null) return unchanged;
  if (payload.kind !== 'participant_joined') return { decision: NO_CHANGE, roster };
  const isNews = call.roster?.members.every(({ sid }) => sid !== payload.participant.sid) ?? true;
  const decision = decideAfterEnd(call, [payload.participant], roster, { ...circumstances, why });
  // A late or duplicate join does not start a new call.
  return decision.kind === 'begin_call' && !isNews ? { decision: NO_CHANGE, roster } : { decision, roster };
}

/** Decides on LiveKit's participant list of a room whose call ended. */
export function guardAgainstList(
  call: Call,
  room: { readonly sid: string; readonly createdAt: Timestamp | null },
  list: ParticipantList,
  circumstances: GuardContext,
): { readonly decision: AfterEnd; readonly roster: Roster | null } {
  if (!isGuarded(call, circumstances)) return { decision: NO_CHANGE, roster: call.roster };
  const { now } = circumstances;
  const isSameSession = call.roster?.sid === room.sid;
  const before =
    isSameSession && call.roster !== null ? call.roster : rosterOfNextSession(call.roster, room, now);
  const roster = applyParticipantList({ ...before, isFinished: false }, list, now);
  const why = 'the room of an ended call is still in use';
  const decision = decideAfterEnd(call, list.participants, roster, { ...circumstances, why });
  // LiveKit's room list omitted a room that existed. hangup reports the error once, and never deletes the room for it.
  const isError = isSameSession && (call.roster?.isFinished ?? false) && parties(roster).length > 0;
  if (!isError) return { decision, roster: { ...roster, isFinished: before.isFinished } };
  const count = parties(roster).length;
  const survival = `its room ${room.sid} is still in use: ${count} ${count === 1 ? 'party' : 'parties'}`;
  return {
    decision: { kind: 'report_survival', why: survival },
    roster: { ...roster, isEndedInError: true },
  };
}

/**
 * Decides by the participants whether a deletion attempt may delete the room.
 * look_closer: the room may have a new caller, and the room's session decides whether a call starts.
 */
export function checkDeletion(
  call: Call,
  participants: readonly Participant[],
  { isAdoptable }: { readonly isAdoptable: boolean },
): 'delete' | 'keep' | 'look_closer' {
  const counting = participants.filter(({ role }) => role !== 'recorder' && role !== 'other');
  const isNew = (one: Participant) => !wasInCall(call.roster, one);
  if (call.status === 'cancelled') {
    const isNewCaller = (one: Participant) => one.phone?.ruleId != null && isNew(one);
    return isAdoptable && counting.some(isNewCaller) ? 'look_closer' : 'delete';
  }
  const keep = isAdoptable ? 'look_closer' : 'keep';
  const talkers = counting.filter(({ role }) => role === 'phone' || role === 'person');
  if (talkers.length >= 2) return keep;
  const isLaterSession = counting.length > 0 && counting.every(({ sid }) => !isMember(call.roster, sid));
  if (isLaterSession && !counting.some((one) => one.role === 'phone' && !isNew(one))) return keep;
  return isAdoptable && talkers.some(isNew) ? 'look_closer' : 'delete';
}

/** True if a participant who joined after the call's end would be disconnected by the deletion. */
export function hasNewcomers(
  call: Call,
  participants: readonly Participant[],
  { isAdoptable }: { readonly isAdoptable: boolean },
): boolean {
  if (call.status === 'cancelled') {
    return (
      isAdoptable && participants.some((one) => one.phone?.ruleId != null && !wasInCall(call.roster, one))
    );
  }
  // LiveKit keeps listing the participants of a dead node, and their joins may never have been reported.
  const cameAfterEnd = (joinedAt: Timestamp | null) => joinedAt === null || joinedAt > (call.endedAt ?? 0);
  return participants.some(
    ({ role, sid, joinedAt }) =>
      (role === 'phone' || role === 'person') && !isMember(call.roster, sid) && cameAfterEnd(joinedAt),
  );
}

const isMember = (roster: Roster | null, sid: string) =>
  (roster?.members ?? []).some((member) => member.sid === sid);

/** True if hangup deletes the room without a check. A later attempt needs one if new callers may use the room's name. */
export function isDeletedWithoutCheck(
  call: Call,
  { isAdoptable, attempt }: { readonly isAdoptable: boolean; readonly attempt: number },
): boolean {
  return call.status === 'cancelled' && (!isAdoptable || attempt === 1);
}

function isGuarded({ endedAt }: Call, { policy, now }: GuardContext): boolean {
  return endedAt !== null && now - endedAt <= policy.recreatedRoomWindowMs;
}

function decideAfterEnd(
  call: Call,
  participants: readonly Participant[],
  roster: Roster,
  { isAdoptable, why }: GuardContext & { readonly why: string },
): AfterEnd {
  const counting = participants.filter(({ role }) => role !== 'recorder' && role !== 'other');
  if (counting.length === 0) return NO_CHANGE;
  const isNew = (one: Participant) => !wasInCall(call.roster, one);
  const begin = { kind: 'begin_call', roster: rosterOfNewCall(roster) } as const;
  const isNewCaller = ({ phone, ...one }: Participant) => phone?.ruleId != null && isNew({ phone, ...one });
  if (isAdoptable && counting.some(isNewCaller)) return begin;
  if (call.status === 'cancelled') {
    // The agent of an adopted, cancelled call may join late and alone. LiveKit closes that room by itself.
    const isHarmless = (one: Participant) =>
      call.adoptedPrefix !== null && one.role === 'agent' && isNew(one);
    return counting.every(isHarmless) ? NO_CHANGE : { kind: 'delete_room', why };
  }
  if (isAdoptable && (counting.some((one) => one.role !== 'agent' && isNew(one)) || isConversation(roster))) {
    return begin;
  }
  const isPhoneBack = !roster.isEndedInError && counting.some((one) => one.role === 'phone' && !isNew(one));
  // Never end a conversation of two parties.
  return isPhoneBack && parties(roster).length < 2 ? { kind: 'delete_room', why } : NO_CHANGE;
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
function rosterAfterEvent(roster: Roster | null, event: RoomEvent, now: Timestamp): Roster | null {
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
      return join(current, payload.participant, { noticedAt: now });
    case 'participant_left':
    case 'participant_connection_aborted':
      return leave(current, payload.participant, {
        sid: payload.participant.sid,
        at,
        noticedAt: now,
        reason: payload.reason,
        isReported: true,
        isAborted: payload.kind === 'participant_connection_aborted',
      });
    case 'room_finished':
      return { ...current, isFinished: true };
    default:
      return current;
  }
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
