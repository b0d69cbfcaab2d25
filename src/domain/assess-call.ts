import type { Call, EndedStatus, LiveStatus } from './call.ts';
import {
  type Departure,
  directionOf,
  type Member,
  MISSING_FOR_MS,
  missingDueAt,
  NODE_LOST,
  parties,
  phonesAreGuests,
  present,
  REPLACED,
  type Roster,
} from './roster.ts';
import type { Timestamp } from './time.ts';

export interface CallPolicy {
  /** How long a phone may be alone after it was left; 0: without limit. */
  readonly agentLeftGraceMs: number;
  /** How long a participant who left or lost the connection may stay away. LiveKit itself notices after about 20 s. */
  readonly reconnectGraceMs: number;
  /** How long an ended call's room is guarded against its returning participants. */
  readonly recreatedRoomWindowMs: number;
}

export interface CallEnd {
  readonly status: EndedStatus;
  readonly failureReason: string | null;
  readonly at: Timestamp;
}

/**
 * goes_on: `reviewAt` is when the roster has to be assessed again; null: at the next event.
 * over: by the roster. hangup requests LiveKit's list first, unless the roster is that list.
 */
export type Assessment =
  | { readonly kind: 'goes_on'; readonly reviewAt: Timestamp | null }
  | { readonly kind: 'over'; readonly end: CallEnd };

/** The reason of a call whose phone was left alone. */
export const LEFT_ALONE = 'AGENT_LEFT';
const ROOM_FINISHED = 'ROOM_FINISHED';

/** Number of graces that an answered outbound phone waits for company. */
const GRACES_WITHOUT_COMPANY = 10;

const GOES_ON = { kind: 'goes_on', reviewAt: null } as const;

interface Circumstances {
  readonly policy: CallPolicy;
  readonly now: Timestamp;
}

/** The status that the participants give a live call. A member that LiveKit's list lacks does not make it active. */
export function statusFrom(members: Roster): LiveStatus {
  const roster = { ...members, members: members.members.filter(({ missingSince }) => missingSince === null) };
  const phones = present(roster, 'phone');
  if (phones.some(({ phone }) => phone?.answeredAt != null)) return 'active';
  const people = present(roster, 'person').length;
  if (people >= 2) return 'active';
  if (phones.length === 0) {
    // While no phone of a call with phones was answered, one person and agents do not make it active.
    if (roster.firstPhone !== null && !phonesAreGuests(roster)) return 'connecting';
    return people === 1 && present(roster, 'agent').length > 0 ? 'active' : 'connecting';
  }
  return phones.some(({ phone }) => phone?.callStatus === 'ringing') ? 'ringing' : 'connecting';
}

/** Whether a live call goes on, by the participants of its room at this moment. */
export function assess(call: Call, roster: Roster, circumstances: Circumstances): Assessment {
  const assessment = assessMembers(call, roster, circumstances);
  const missing = missingDueAt(roster);
  const { reconnectGraceMs } = circumstances.policy;
  const unresponsive =
    roster.unresponsive && roster.unresponsive.since + Math.max(reconnectGraceMs, MISSING_FOR_MS);
  // Clients of a dead node may return until then.
  const probeDueAt = roster.moved === null ? null : roster.moved.noticedAt + reconnectGraceMs;
  return assessment.kind === 'over'
    ? assessment
    : { kind: 'goes_on', reviewAt: soonest(assessment.reviewAt, missing, unresponsive, probeDueAt) };
}

function assessMembers(call: Call, roster: Roster, circumstances: Circumstances): Assessment {
  if (parties(roster).length >= 2) return GOES_ON;
  const hasAgent = present(roster, 'agent').length > 0;
  const [phone] = present(roster, 'phone');
  if (phone !== undefined) return hasAgent ? GOES_ON : alone(call, roster, phone, circumstances);
  const isPhoneCall = roster.firstPhone !== null && !isWithoutPhones(roster);
  if (isPhoneCall) return withoutItsPhones(call, roster, circumstances);
  return withoutPhones(call, roster, circumstances);
}

/** Returns the end of a call whose room is gone. */
export function endOfSession(call: Call, roster: Roster | null, at: Timestamp): CallEnd {
  const { lastPhoneLeft = null, lastTalkerLeft = null, firstPhone = null } = roster ?? {};
  const someoneStayed = roster !== null && parties(roster).length > 0;
  if (hasTalked(call, roster)) {
    return someoneStayed || lastTalkerLeft === null
      ? { status: 'completed', failureReason: null, at }
      : completed(lastTalkerLeft);
  }
  const phone = firstPhone === null || someoneStayed ? null : lastPhoneLeft;
  if (phone !== null && roster !== null) return unanswered(call, roster, at);
  const status = call.status === 'ringing' ? 'no_answer' : 'failed';
  return { status, failureReason: ROOM_FINISHED, at };
}

/** Returns the end of a call whose room's node is dead. */
export function endOfNode(call: Call, roster: Roster, since: Timestamp): CallEnd {
  const status = hasTalked(call, roster) ? 'completed' : 'failed';
  return { status, failureReason: NODE_LOST, at: since };
}

/** A phone with nobody else: left alone, or not joined yet? */
function alone(
  call: Call,
  roster: Roster,
  { phone, noticedAt, missingSince }: Member,
  { policy, now }: Circumstances,
): Assessment {
  const graceMs = policy.agentLeftGraceMs;
  // A phone that LiveKit's list lacks has probably hung up: the next list decides.
  if (graceMs === 0 || phone === null || missingSince !== null) return GOES_ON;
  const isAnswered = phone.answeredAt !== null;
  const wasLeft = roster.hadCompany || roster.answeredPhones > (isAnswered ? 1 : 0);
  if (!wasLeft && (phone.answeredAt === null || directionOf(phone) === 'inbound')) return GOES_ON;
  const dueAt = wasLeft
    ? Math.max(roster.lastLeaveNoticedAt ?? 0, noticedAt) + graceMs
    : (phone.answeredAt ?? now) + GRACES_WITHOUT_COMPANY * graceMs;
  if (now < dueAt) return { kind: 'goes_on', reviewAt: dueAt };
  const unansweredStatus = phone.hasRung ? 'no_answer' : 'failed';
  const status = hasTalked(call, roster) ? 'completed' : unansweredStatus;
  return { kind: 'over', end: { status, failureReason: LEFT_ALONE, at: now } };
}

/** People talked before any phone joined, and a person stayed when the last phone left. */
function isWithoutPhones(roster: Roster): boolean {
  if (!phonesAreGuests(roster)) return false;
  if (present(roster, 'person').length > 0) return true;
  const { lastPersonLeft, lastPhoneLeft } = roster;
  return lastPersonLeft !== null && (lastPhoneLeft === null || lastPersonLeft.at > lastPhoneLeft.at);
}

/** Assesses a call whose last phone has left. */
function withoutItsPhones(call: Call, roster: Roster, { policy, now }: Circumstances): Assessment {
  const backBy = (departure: Departure) => departure.noticedAt + policy.reconnectGraceMs;
  const mayReturn = ({ departure }: Member) => departure !== null && now < backBy(departure);
  const away = roster.members.filter((member) => mayReturn(member));
  const lostPhones = away.filter((member) => member.role === 'phone' && isPhoneLost(member));
  const people = peopleAway(roster, away);
  const isWaited =
    lostPhones.length > 0 ||
    present(roster, 'person').length + people.length >= 2 ||
    (phonesAreGuests(roster) && people.length > 0);
  if (isWaited) {
    const dueAt = [...lostPhones, ...people].flatMap(({ departure }) =>
      departure === null ? [] : [backBy(departure)],
    );
    return { kind: 'goes_on', reviewAt: Math.min(...dueAt) };
  }
  const at = roster.lastPhoneLeft?.at ?? now;
  if (!hasTalked(call, roster)) return { kind: 'over', end: unanswered(call, roster, at) };
  return { kind: 'over', end: completed(roster.lastTalkerLeft ?? { at, reason: null }) };
}

/** Of the people who left, one for each identity that is not there again. */
function peopleAway(roster: Roster, away: readonly Member[]): readonly Member[] {
  const isHere = new Set(present(roster, 'person').map(({ identity }) => identity));
  const people = away.filter(
    ({ role, identity, departure }) => role === 'person' && !departure?.isAborted && !isHere.has(identity),
  );
  return [...new Map(people.map((member) => [member.identity, member])).values()];
}

/** Replaced, while the join of its new connection is not reported; or its connection broke before the answer. */
function isPhoneLost({ phone, departure }: Member): boolean {
  if (departure === null || departure.isAborted || departure.reason === null) return false;
  if (departure.reason === REPLACED) return true;
  return phone?.answeredAt === null && CONNECTION_LOST.has(departure.reason);
}

/** Assesses a call without phones. */
function withoutPhones(call: Call, roster: Roster, { policy, now }: Circumstances): Assessment {
  const graceMs = policy.reconnectGraceMs;
  const [person] = present(roster, 'person');
  if (person !== undefined) {
    const agent = roster.lastAgentLeft;
    if (agent?.reason == null || !CONNECTION_LOST.has(agent.reason)) return GOES_ON;
    if (present(roster, 'agent').length > 0) return GOES_ON;
    const dueAt = Math.max(agent.noticedAt, person.noticedAt) + graceMs;
    if (now < dueAt) return { kind: 'goes_on', reviewAt: dueAt };
    const status = hasTalked(call, roster) ? 'completed' : 'failed';
    // Another party may have left after the agent: the conversation ended then.
    const at = Math.max(agent.at, roster.lastTalkerLeft?.at ?? 0);
    return { kind: 'over', end: { status, failureReason: agent.reason, at } };
  }
  // LiveKit finishes the room by itself, unless somebody who counts for nothing holds it open.
  const left = roster.lastPersonLeft;
  if (left === null || present(roster, 'other').length === 0) return GOES_ON;
  const dueAt = left.noticedAt + graceMs;
  if (now < dueAt) return { kind: 'goes_on', reviewAt: dueAt };
  if (hasTalked(call, roster)) return { kind: 'over', end: completed(roster.lastTalkerLeft ?? left) };
  return {
    kind: 'over',
    end: { status: 'failed', failureReason: left.reason ?? ROOM_FINISHED, at: left.at },
  };
}

/** A phone was answered, or people talked. An agent and a person do not, while no phone of theirs is answered. */
function hasTalked(call: Call, roster: Roster | null): boolean {
  if (call.status === 'active') return true;
  if (roster === null) return false;
  if (roster.answeredPhones > 0 || roster.peopleSince !== null) return true;
  return roster.talkedSince !== null && (roster.firstPhone === null || phonesAreGuests(roster));
}

/** The connection broke; nobody decided anything. */
const CONNECTION_LOST: ReadonlySet<string> = new Set([
  'SERVER_SHUTDOWN',
  'SIGNAL_CLOSE',
  'CONNECTION_TIMEOUT',
  'STATE_MISMATCH',
  'MEDIA_FAILURE',
  'JOIN_FAILURE',
  NODE_LOST,
]);

/** How an answered call ends when all went well. */
const HUNG_UP: ReadonlySet<string> = new Set([
  'CLIENT_INITIATED',
  'ROOM_DELETED',
  'PARTICIPANT_REMOVED',
  'ROOM_CLOSED',
  REPLACED,
]);

function completed({ at, reason }: Pick<Departure, 'at' | 'reason'>): CallEnd {
  const isUsual = reason === null || HUNG_UP.has(reason);
  return { status: 'completed', failureReason: isUsual ? null : reason, at };
}

/** No phone was answered: the last one's own ringing and reason decide. */
function unanswered(call: Call, { lastPhoneLeft }: Roster, otherwiseAt: Timestamp): CallEnd {
  const { reason = null, at = otherwiseAt } = lastPhoneLeft ?? {};
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

function soonest(...times: readonly (Timestamp | null)[]): Timestamp | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}
