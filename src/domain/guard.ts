import type { Call } from './call.ts';
import type { Participant, RoomEvent } from './room-event.ts';
import { newRoster, parties, present, type Roster } from './roster.ts';
import { join, leave, observe, type ParticipantList, rosterOfNewCall } from './roster-changes.ts';
import type { Timestamp } from './time.ts';

/*
 * After a call's end its room's name may live on: the call's own participants come back, or new callers use the same
 * name (a direct or callee dispatch rule). The guard is against the former. Phones are known by their sip.callID, all
 * others by their identity.
 */

export type AfterEnd =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'delete_room'; readonly why: string }
  /** The roster that the new call begins with. */
  | { readonly kind: 'begin_call'; readonly roster: Roster }
  | { readonly kind: 'report_survival'; readonly why: string };

interface Circumstances {
  readonly policy: { readonly recreatedRoomWindowMs: number };
  readonly now: Timestamp;
  readonly isAdoptable: boolean;
}

const NOTHING = { kind: 'nothing' } as const;

/** What a webhook about the room of an ended call means. */
export function guardAgainstEvent(
  call: Call,
  event: RoomEvent,
  circumstances: Circumstances,
): { readonly decision: AfterEnd; readonly roster: Roster | null } {
  const { payload, id } = event;
  const unchanged = { decision: NOTHING, roster: call.roster };
  if (!isGuarded(call, circumstances)) return unchanged;
  const why = `the room of an ended call shows life: ${payload.kind} ${id}`;
  if (payload.kind === 'room_started') {
    const isCancelledRegistration = call.status === 'cancelled' && call.adoptedPrefix === null;
    return isCancelledRegistration ? { ...unchanged, decision: { kind: 'delete_room', why } } : unchanged;
  }
  const roster = followed(call.roster, event, circumstances.now);
  // Of an earlier session, or of one that is over.
  if (roster === null) return unchanged;
  if (payload.kind !== 'participant_joined') return { decision: NOTHING, roster };
  const isNews = call.roster?.members.every(({ sid }) => sid !== payload.participant.sid) ?? true;
  const decision = guardAgainst(call, [payload.participant], roster, { ...circumstances, why });
  // A late or repeated join is not a new call.
  return decision.kind === 'begin_call' && !isNews ? { decision: NOTHING, roster } : { decision, roster };
}

/** What LiveKit's list of participants means for an ended call whose room is there. */
export function guardAgainstList(
  call: Call,
  room: { readonly sid: string; readonly createdAt: Timestamp | null },
  list: ParticipantList,
  circumstances: Circumstances,
): { readonly decision: AfterEnd; readonly roster: Roster | null } {
  if (!isGuarded(call, circumstances)) return { decision: NOTHING, roster: call.roster };
  const { now } = circumstances;
  const isSameSession = call.roster?.sid === room.sid;
  const before = isSameSession && call.roster !== null ? call.roster : withMemory(call.roster, room, now);
  const roster = observe({ ...before, isFinished: false }, list, now);
  const why = 'the room of an ended call is still in use';
  const decision = guardAgainst(call, list.participants, roster, { ...circumstances, why });
  // LiveKit's list of rooms left out a room that lived. This is reported once, and never a reason to delete the room.
  const isError = isSameSession && (call.roster?.isFinished ?? false) && parties(roster).length > 0;
  if (!isError) return { decision, roster: { ...roster, isFinished: before.isFinished } };
  const survival = `its room ${room.sid} is still in use: ${parties(roster).length} parties`;
  return {
    decision: { kind: 'report_survival', why: survival },
    roster: { ...roster, isEndedInError: true },
  };
}

/**
 * What to do with a room whose deletion is about to be attempted, by its participants.
 * look_closer: a new caller may be in it; whether that begins a call depends on the room's session.
 */
export function checkDeletion(
  call: Call,
  participants: readonly Participant[],
  { isAdoptable }: { readonly isAdoptable: boolean },
): 'delete' | 'keep' | 'look_closer' {
  const counting = participants.filter(({ role }) => role !== 'recorder' && role !== 'other');
  const isNew = (one: Participant) => !isKnown(call.roster, one);
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

/** Whether somebody came into the room of an ended call whom its deletion must not put out. */
export function hasNewcomers(
  call: Call,
  participants: readonly Participant[],
  { isAdoptable }: { readonly isAdoptable: boolean },
): boolean {
  if (call.status === 'cancelled') {
    return isAdoptable && participants.some((one) => one.phone?.ruleId != null && !isKnown(call.roster, one));
  }
  // LiveKit lists the participants of a dead node for ever, and the join of one may never have been reported.
  const cameAfterEnd = (joinedAt: Timestamp | null) => joinedAt === null || joinedAt > (call.endedAt ?? 0);
  return participants.some(
    ({ role, sid, joinedAt }) =>
      (role === 'phone' || role === 'person') && !isMember(call.roster, sid) && cameAfterEnd(joinedAt),
  );
}

const isMember = (roster: Roster | null, sid: string) =>
  (roster?.members ?? []).some((member) => member.sid === sid);

/** A cancelled call's room is deleted unasked, unless a new caller may be in a room of the same name. */
export function isDeletedUnasked(
  call: Call,
  { isAdoptable, attempt }: { readonly isAdoptable: boolean; readonly attempt: number },
): boolean {
  return call.status === 'cancelled' && (!isAdoptable || attempt === 1);
}

function isGuarded({ endedAt }: Call, { policy, now }: Circumstances): boolean {
  return endedAt !== null && now - endedAt <= policy.recreatedRoomWindowMs;
}

function guardAgainst(
  call: Call,
  participants: readonly Participant[],
  roster: Roster,
  { isAdoptable, why }: Circumstances & { readonly why: string },
): AfterEnd {
  const counting = participants.filter(({ role }) => role !== 'recorder' && role !== 'other');
  if (counting.length === 0) return NOTHING;
  const isNew = (one: Participant) => !isKnown(call.roster, one);
  const begin = { kind: 'begin_call', roster: rosterOfNewCall(roster) } as const;
  const isNewCaller = ({ phone, ...one }: Participant) => phone?.ruleId != null && isNew({ phone, ...one });
  if (isAdoptable && counting.some(isNewCaller)) return begin;
  if (call.status === 'cancelled') {
    // A cancelled call's own agent may come late and alone; it keeps no room open.
    const isHarmless = (one: Participant) =>
      call.adoptedPrefix !== null && one.role === 'agent' && isNew(one);
    return counting.every(isHarmless) ? NOTHING : { kind: 'delete_room', why };
  }
  if (isAdoptable && (counting.some((one) => one.role !== 'agent' && isNew(one)) || isConversation(roster))) {
    return begin;
  }
  const isPhoneBack = !roster.isEndedInError && counting.some((one) => one.role === 'phone' && !isNew(one));
  // Two parties are a conversation, whoever they are.
  return isPhoneBack && parties(roster).length < 2 ? { kind: 'delete_room', why } : NOTHING;
}

function isConversation(roster: Roster): boolean {
  if (parties(roster).length >= 2) return true;
  return present(roster, 'person').length > 0 && present(roster, 'agent').length > 0;
}

/** Whether a participant was in the call, by its phone's call or its identity. */
function isKnown(roster: Roster | null, { identity, phone }: Participant): boolean {
  const callId = phone?.callId ?? null;
  return (roster?.members ?? []).some((member) =>
    callId === null
      ? member.identity === identity && (phone === null) === (member.phone === null)
      : member.phone?.callId === callId,
  );
}

/** The ended call's roster after an event of its own session or a later one; null for an earlier or a finished one. */
function followed(roster: Roster | null, event: RoomEvent, now: Timestamp): Roster | null {
  const { room, payload, at } = event;
  let current = roster;
  if (current === null || current.sid !== room.sid) {
    if (current !== null && (room.createdAt ?? 0) <= current.createdAt) return null;
    current = withMemory(current, room, at);
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

/** A later session of the room, with the earlier participants as members who have left. */
function withMemory(
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
