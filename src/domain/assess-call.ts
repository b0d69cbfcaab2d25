import type { Call } from './call.ts';
import type { EndedStatus } from './call-status.ts';
import {
  type Departure,
  directionOf,
  type Member,
  MISSING_CONFIRM_MS,
  missingDueAt,
  NODE_LOST,
  parties,
  phonesAreGuests,
  presentMembers,
  REPLACED,
  type Roster,
} from './roster.ts';
import { earliest, type Timestamp } from './time.ts';

export interface CallPolicy {
  /** How long a phone may be alone after the others left; 0: no limit. */
  readonly agentLeftGraceMs: number;
  /** How long a participant who left or lost the connection may stay away. LiveKit detects a lost connection after about 20 s. */
  readonly reconnectGraceMs: number;
  /** How long after a call's end its recreated room is deleted again. */
  readonly recreatedRoomWindowMs: number;
}

export interface CallEnd {
  readonly status: EndedStatus;
  readonly failureReason: string | null;
  readonly at: Timestamp;
}

/**
 * goes_on: the call stays live. `reviewAt` is the time of the next assessment; null: an event starts the next one.
 * over: the roster implies an end. hangup confirms it with LiveKit's list, unless the roster is that list.
 */
export type Assessment =
  | { readonly kind: 'goes_on'; readonly reviewAt: Timestamp | null }
  | { readonly kind: 'over'; readonly end: CallEnd };

/** Failure reason of a call whose phone was left alone. */
export const LEFT_ALONE = 'AGENT_LEFT';
const ROOM_FINISHED = 'ROOM_FINISHED';

/** Number of grace periods that an answered outbound phone waits for the first other participant. */
const LONE_PHONE_GRACE_PERIODS = 10;

const GOES_ON = { kind: 'goes_on', reviewAt: null } as const;

interface AssessmentContext {
  readonly policy: CallPolicy;
  readonly now: Timestamp;
}

/** Assesses whether a live call goes on, by the participants in its room. A missing member still counts as present. */
export function assess(call: Call, roster: Roster, context: AssessmentContext): Assessment {
  const assessment = assessMembers(call, roster, context);
  if (assessment.kind === 'over') return assessment;
  const { reconnectGraceMs } = context.policy;
  const nodeDueAt =
    roster.unresponsive && roster.unresponsive.since + Math.max(reconnectGraceMs, MISSING_CONFIRM_MS);
  // Until this time, the clients of a dead node may reconnect.
  const probeDueAt = roster.moved && roster.moved.noticedAt + reconnectGraceMs;
  return {
    kind: 'goes_on',
    reviewAt: earliest(assessment.reviewAt, missingDueAt(roster), nodeDueAt, probeDueAt),
  };
}

function assessMembers(call: Call, roster: Roster, context: AssessmentContext): Assessment {
  if (parties(roster).length >= 2) return GOES_ON;
  const hasAgent = presentMembers(roster, 'agent').length > 0;
  const [phone] = presentMembers(roster, 'phone');
  if (phone !== undefined) return hasAgent ? GOES_ON : assessLonePhone(call, roster, phone, context);
  const isPhoneCall = roster.firstPhone !== null && !goesOnWithoutPhones(roster);
  if (isPhoneCall) return assessAfterLastPhone(call, roster, context);
  return assessWithoutPhones(call, roster, context);
}

/** Returns the end of a call whose room is gone. */
export function endOfSession(call: Call, roster: Roster | null, at: Timestamp): CallEnd {
  const { lastPhoneLeft = null, lastTalkerLeft = null, firstPhone = null } = roster ?? {};
  const someoneStayed = roster !== null && parties(roster).length > 0;
  if (hasTalked(call, roster)) {
    return someoneStayed || lastTalkerLeft === null
      ? { status: 'completed', failureReason: null, at }
      : endOfTalk(lastTalkerLeft);
  }
  const phone = firstPhone === null || someoneStayed ? null : lastPhoneLeft;
  if (phone !== null && roster !== null) return endOfUnansweredCall(call, roster, at);
  const status = call.status === 'ringing' ? 'no_answer' : 'failed';
  return { status, failureReason: ROOM_FINISHED, at };
}

/** Returns the end of a call whose room's node is dead. */
export function endOfNode(call: Call, roster: Roster, since: Timestamp): CallEnd {
  const status = hasTalked(call, roster) ? 'completed' : 'failed';
  return { status, failureReason: NODE_LOST, at: since };
}

/** Assesses a call with one phone and nobody else: the others left, or have not joined yet. */
function assessLonePhone(
  call: Call,
  roster: Roster,
  { phone, noticedAt, missingSince }: Member,
  { policy, now }: AssessmentContext,
): Assessment {
  const graceMs = policy.agentLeftGraceMs;
  // A missing phone has probably hung up. The next list decides.
  if (graceMs === 0 || phone === null || missingSince !== null) return GOES_ON;
  const isAnswered = phone.answeredAt !== null;
  const wasLeft = roster.hadCompany || roster.answeredPhones > (isAnswered ? 1 : 0);
  if (!wasLeft && (phone.answeredAt === null || directionOf(phone) === 'inbound')) return GOES_ON;
  const dueAt = wasLeft
    ? Math.max(roster.lastLeaveNoticedAt ?? 0, noticedAt) + graceMs
    : (phone.answeredAt ?? now) + LONE_PHONE_GRACE_PERIODS * graceMs;
  if (now < dueAt) return { kind: 'goes_on', reviewAt: dueAt };
  const unansweredStatus = phone.hasRung ? 'no_answer' : 'failed';
  const status = hasTalked(call, roster) ? 'completed' : unansweredStatus;
  return { kind: 'over', end: { status, failureReason: LEFT_ALONE, at: now } };
}

/** True if a conversation began before the first phone joined, and a person stayed when the last phone left. */
function goesOnWithoutPhones(roster: Roster): boolean {
  if (!phonesAreGuests(roster)) return false;
  if (presentMembers(roster, 'person').length > 0) return true;
  const { lastPersonLeft, lastPhoneLeft } = roster;
  return lastPersonLeft !== null && (lastPhoneLeft === null || lastPersonLeft.at > lastPhoneLeft.at);
}

/** Assesses a call whose last phone has left. */
function assessAfterLastPhone(call: Call, roster: Roster, { policy, now }: AssessmentContext): Assessment {
  const returnDueAt = (departure: Departure) => departure.noticedAt + policy.reconnectGraceMs;
  const mayReturn = ({ departure }: Member) => departure !== null && now < returnDueAt(departure);
  const away = roster.members.filter((member) => mayReturn(member));
  const lostPhones = away.filter((member) => member.role === 'phone' && mayPhoneReconnect(member));
  const people = peopleWhoMayReturn(roster, away);
  const mayGoOn =
    lostPhones.length > 0 ||
    presentMembers(roster, 'person').length + people.length >= 2 ||
    (phonesAreGuests(roster) && people.length > 0);
  if (mayGoOn) {
    const dueTimes = [...lostPhones, ...people].flatMap(({ departure }) =>
      departure === null ? [] : [returnDueAt(departure)],
    );
    return { kind: 'goes_on', reviewAt: Math.min(...dueTimes) };
  }
  const at = roster.lastPhoneLeft?.at ?? now;
  if (!hasTalked(call, roster)) return { kind: 'over', end: endOfUnansweredCall(call, roster, at) };
  return { kind: 'over', end: endOfTalk(lastTalkerToLeave(roster) ?? { at, reason: null }) };
}

/**
 * Returns the last departure of an answered phone or a person. A talker who is missing from LiveKit's list, and whose
 * leave no webhook reported, left by the time of the list.
 */
function lastTalkerToLeave({ lastTalkerLeft, members }: Roster): Pick<Departure, 'at' | 'reason'> | null {
  const missing = members.flatMap(({ role, phone, departure, missingSince }) => {
    const isTalker = role === 'person' || (phone !== null && phone.answeredAt !== null);
    return isTalker && departure === null && missingSince !== null
      ? [{ at: missingSince, reason: null }]
      : [];
  });
  const departures = lastTalkerLeft === null ? missing : [lastTalkerLeft, ...missing];
  return departures.toSorted((a, b) => b.at - a.at)[0] ?? null;
}

/** Returns the people who left, one for each identity that has not returned. */
function peopleWhoMayReturn(roster: Roster, away: readonly Member[]): readonly Member[] {
  const present = new Set(presentMembers(roster, 'person').map(({ identity }) => identity));
  const people = away.filter(
    ({ role, identity, departure }) => role === 'person' && !departure?.isAborted && !present.has(identity),
  );
  return [...new Map(people.map((member) => [member.identity, member])).values()];
}

/** True if a newer connection replaced the phone and has not joined yet, or the connection broke before the answer. */
function mayPhoneReconnect({ phone, departure }: Member): boolean {
  if (departure === null || departure.isAborted || departure.reason === null) return false;
  if (departure.reason === REPLACED) return true;
  return phone?.answeredAt === null && CONNECTION_LOST_REASONS.has(departure.reason);
}

/** Assesses a call without phones. */
function assessWithoutPhones(call: Call, roster: Roster, { policy, now }: AssessmentContext): Assessment {
  const graceMs = policy.reconnectGraceMs;
  const [person] = presentMembers(roster, 'person');
  if (person !== undefined) {
    const agentLeft = roster.lastAgentLeft;
    if (agentLeft?.reason == null || !CONNECTION_LOST_REASONS.has(agentLeft.reason)) return GOES_ON;
    if (presentMembers(roster, 'agent').length > 0) return GOES_ON;
    const dueAt = Math.max(agentLeft.noticedAt, person.noticedAt) + graceMs;
    if (now < dueAt) return { kind: 'goes_on', reviewAt: dueAt };
    const status = hasTalked(call, roster) ? 'completed' : 'failed';
    // The conversation ended when the last party left, which may be after the agent.
    const at = Math.max(agentLeft.at, roster.lastTalkerLeft?.at ?? 0);
    return { kind: 'over', end: { status, failureReason: agentLeft.reason, at } };
  }
  // LiveKit closes an empty room by itself, unless a participant that does not count keeps it open.
  const personLeft = roster.lastPersonLeft;
  if (personLeft === null || presentMembers(roster, 'other').length === 0) return GOES_ON;
  const dueAt = personLeft.noticedAt + graceMs;
  if (now < dueAt) return { kind: 'goes_on', reviewAt: dueAt };
  if (hasTalked(call, roster)) return { kind: 'over', end: endOfTalk(roster.lastTalkerLeft ?? personLeft) };
  return {
    kind: 'over',
    end: { status: 'failed', failureReason: personLeft.reason ?? ROOM_FINISHED, at: personLeft.at },
  };
}

/** True if a phone was answered or people talked. In a phone call, an agent and a person alone do not count. */
function hasTalked(call: Call, roster: Roster | null): boolean {
  if (call.status === 'active') return true;
  if (roster === null) return false;
  if (roster.answeredPhones > 0 || roster.peopleSince !== null) return true;
  return roster.talkedSince !== null && (roster.firstPhone === null || phonesAreGuests(roster));
}

/** LiveKit's disconnect reasons of a connection that broke. */
const CONNECTION_LOST_REASONS: ReadonlySet<string> = new Set([
  'SERVER_SHUTDOWN',
  'SIGNAL_CLOSE',
  'CONNECTION_TIMEOUT',
  'STATE_MISMATCH',
  'MEDIA_FAILURE',
  'JOIN_FAILURE',
  NODE_LOST,
]);

/** LiveKit's disconnect reasons of a normal end: such a call has no failure reason. */
const NORMAL_HANGUP_REASONS: ReadonlySet<string> = new Set([
  'CLIENT_INITIATED',
  'ROOM_DELETED',
  'PARTICIPANT_REMOVED',
  'ROOM_CLOSED',
  REPLACED,
]);

function endOfTalk({ at, reason }: Pick<Departure, 'at' | 'reason'>): CallEnd {
  const isNormal = reason === null || NORMAL_HANGUP_REASONS.has(reason);
  return { status: 'completed', failureReason: isNormal ? null : reason, at };
}

/** Returns the end of a call without an answered phone, by the last phone's state and disconnect reason. */
function endOfUnansweredCall(call: Call, { lastPhoneLeft }: Roster, defaultAt: Timestamp): CallEnd {
  const { reason = null, at = defaultAt } = lastPhoneLeft ?? {};
  if (lastPhoneLeft === null || reason === null || reason === REPLACED) {
    const hasRung = lastPhoneLeft?.hasRung || call.status === 'ringing';
    return { status: hasRung ? 'no_answer' : 'failed', failureReason: ROOM_FINISHED, at };
  }
  return { status: unansweredStatus(reason, lastPhoneLeft), failureReason: reason, at };
}

function unansweredStatus(
  reason: string,
  { direction, hasRung, isAborted }: NonNullable<Roster['lastPhoneLeft']>,
): EndedStatus {
  if (isAborted) return 'failed';
  const isInbound = direction === 'inbound';
  switch (reason) {
    case 'ROOM_DELETED':
    case 'PARTICIPANT_REMOVED':
      return 'cancelled';
    case 'USER_REJECTED':
      return !isInbound && hasRung ? 'busy' : 'failed';
    case 'USER_UNAVAILABLE':
      return !isInbound && hasRung ? 'no_answer' : 'failed';
    case 'CLIENT_INITIATED':
      return isInbound ? 'no_answer' : 'failed';
    default:
      return 'failed';
  }
}
