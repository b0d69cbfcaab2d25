import type { Direction } from './call.ts';
import type { EventParticipant, EventRoom, PhoneAttributes, Role } from './room-event.ts';
import type { Timestamp } from './time.ts';

/**
 * The participants of one session of a room, as far as a rule or a reader needs them. Times are those of LiveKit's
 * events, except `noticedAt`, which is our own clock's: a grace counts from the moment that a fact reached hangup.
 */
export interface Roster {
  readonly sid: string;
  /** The first event's time until LiveKit reports the room's own. */
  readonly createdAt: Timestamp;
  /** room_finished arrived, or the room's absence was confirmed. Later events of this session are stale. */
  readonly isFinished: boolean;
  /** The call ended in error by the room's absence: the room is never deleted for that. */
  readonly isEndedInError: boolean;
  /** At most {@link MAX_MEMBERS}; see {@link crop}. */
  readonly members: readonly Member[];
  /** Sids of participants who published audio, except phones and participants who left. */
  readonly audioFrom: readonly string[];
  /** The session's first phone gives the call its direction and number. */
  readonly firstPhone: FirstPhone | null;
  /** Since when two people, or a person and an agent, were there for the first time. */
  readonly talkedSince: Timestamp | null;
  /** Since when two people were there for the first time. */
  readonly peopleSince: Timestamp | null;
  /** True once a member was dropped. Derived facts are then kept instead of recomputed. */
  readonly isCropped: boolean;
  /** An agent or a person was there. */
  readonly hadCompany: boolean;
  /** Phones that were answered in this session. */
  readonly answeredPhones: number;
  /** When the newest departure of an agent, a person or a phone was noticed. */
  readonly lastLeaveNoticedAt: Timestamp | null;
  /** Departures noticed in this session. A list that was requested before one may lack who joined since. */
  readonly departures: number;
  /** The answered phone or person that left last. */
  readonly lastTalkerLeft: Departure | null;
  readonly lastPersonLeft: Departure | null;
  readonly lastAgentLeft: Departure | null;
  readonly lastPhoneLeft: PhoneDeparture | null;
  /**
   * When the room started again on another node, with members who had joined before: LiveKit goes on listing the
   * participants of a dead node. Null once each of them was asked for.
   */
  readonly moved: { readonly at: Timestamp; readonly noticedAt: Timestamp } | null;
  /** The room's node does not answer: since when, and the last request that shows it. Null: it answers, or nobody tried. */
  readonly unresponsive: { readonly since: Timestamp; readonly lastAt: Timestamp } | null;
}

export interface Member {
  readonly sid: string;
  readonly identity: string;
  readonly role: Role;
  readonly joinedAt: Timestamp | null;
  readonly noticedAt: Timestamp;
  readonly phone: PhoneState | null;
  /** A member who left stays on the roster, so that a late join does not bring it back. */
  readonly departure: Departure | null;
  /** Since when LiveKit's list of participants lacks a member whose leaving was not reported. */
  readonly missingSince: Timestamp | null;
}

export interface PhoneState extends PhoneAttributes {
  readonly hasRung: boolean;
  /** Null until the answer is noticed. */
  readonly answeredAt: Timestamp | null;
}

export interface Departure {
  /** The participant's. */
  readonly sid: string;
  readonly at: Timestamp;
  readonly noticedAt: Timestamp;
  /** LiveKit's word; null when its list lacks the participant and no webhook reported why. */
  readonly reason: string | null;
  /** By a webhook, rather than inferred. */
  readonly isReported: boolean;
  readonly isAborted: boolean;
}

export interface PhoneDeparture extends Departure {
  readonly direction: Direction;
  readonly hasRung: boolean;
  readonly isAnswered: boolean;
}

interface FirstPhone {
  readonly sid: string;
  readonly joinedAt: Timestamp;
  readonly phoneNumber: string | null;
  /** Null for a connector, whose direction is not reported. */
  readonly direction: Direction | null;
}

/** A room may have thousands of participants; a call's row has this many at most. */
export const MAX_MEMBERS = 100;
/** A phone's audio may arrive before its join. */
export const MAX_AUDIO = 4;
/** A participant is gone who is missing in two lists so far apart. */
export const MISSING_FOR_MS = 10_000;
/** LiveKit's list may still show a participant right after its leaving was reported. */
const LIST_LAG_MS = 5_000;

/** By how much a participant decides, least first. */
const RANKS: readonly Role[] = ['recorder', 'other', 'person', 'agent', 'phone'];

/** The participant was replaced by a newer connection of its own identity. */
export const REPLACED = 'DUPLICATE_IDENTITY';
/** The participant's node died, though LiveKit lists it. */
export const NODE_LOST = 'NODE_LOST';
/** The participant moved to another node: it is still there, under the same sid. */
const MOVED = 'MIGRATION';

export function newRoster(room: Pick<EventRoom, 'sid' | 'createdAt'>, at: Timestamp): Roster {
  return {
    sid: room.sid,
    createdAt: room.createdAt ?? at,
    isFinished: false,
    isEndedInError: false,
    members: [],
    audioFrom: [],
    firstPhone: null,
    talkedSince: null,
    peopleSince: null,
    isCropped: false,
    hadCompany: false,
    answeredPhones: 0,
    lastLeaveNoticedAt: null,
    departures: 0,
    lastTalkerLeft: null,
    lastPersonLeft: null,
    lastAgentLeft: null,
    lastPhoneLeft: null,
    moved: null,
    unresponsive: null,
  };
}

/** Equal for two rosters of a call only when nobody's departure was noticed in between. */
export function versionOf(roster: Roster | null): string {
  return roster === null ? '' : `${roster.sid}:${roster.departures}`;
}

export function present(roster: Roster, role: Role): readonly Member[] {
  return roster.members.filter((member) => member.role === role && member.departure === null);
}

/** Phones (one that dials or rings too) and people. Two of them are a conversation. */
export function parties(roster: Roster): readonly Member[] {
  return roster.members.filter(
    ({ role, departure }) => departure === null && (role === 'phone' || role === 'person'),
  );
}

/** People were active before the first phone joined: the phones are guests of their conversation. */
export function phonesAreGuests({ talkedSince, firstPhone }: Roster): boolean {
  return talkedSince !== null && firstPhone !== null && talkedSince < firstPhone.joinedAt;
}

export function directionOf({ ruleId }: PhoneAttributes): Direction {
  return ruleId === null ? 'outbound' : 'inbound';
}

/** A clock that was set back must not make a grace last until the old time comes again: it counts from now. */
export function withoutFuture(roster: Roster, now: Timestamp): Roster {
  const isAhead = (at: Timestamp | null) => at !== null && at > now;
  const members = roster.members.map((member) => {
    const { noticedAt, missingSince, departure } = member;
    if (!isAhead(noticedAt) && !isAhead(missingSince) && !isAhead(departure?.noticedAt ?? null))
      return member;
    return {
      ...member,
      noticedAt: Math.min(noticedAt, now),
      missingSince: missingSince === null ? null : Math.min(missingSince, now),
      departure: departure && { ...departure, noticedAt: Math.min(departure.noticedAt, now) },
    };
  });
  const { lastLeaveNoticedAt, moved } = roster;
  return {
    ...roster,
    members,
    lastLeaveNoticedAt: lastLeaveNoticedAt === null ? null : Math.min(lastLeaveNoticedAt, now),
    lastAgentLeft: noticedBy(roster.lastAgentLeft, now),
    lastPersonLeft: noticedBy(roster.lastPersonLeft, now),
    moved: moved && { ...moved, noticedAt: Math.min(moved.noticedAt, now) },
  };
}

const noticedBy = (departure: Departure | null, now: Timestamp): Departure | null =>
  departure && { ...departure, noticedAt: Math.min(departure.noticedAt, now) };

/** A participant joined, or a webhook shows that it is there. */
export function join(
  roster: Roster,
  participant: EventParticipant,
  { noticedAt }: { noticedAt: Timestamp },
): Roster {
  const known = roster.members.find(({ sid }) => sid === participant.sid);
  // The join is late. Only a member that LiveKit's list lacked may be there again.
  if (known !== undefined && known.departure !== null && known.departure.reason !== null) return roster;
  return replaceEarlier(
    put(roster, memberOf(participant, known, noticedAt), noticedAt),
    participant.sid,
    noticedAt,
  );
}

/** A participant left, or its connection could not be established. */
export function leave(
  roster: Roster,
  participant: EventParticipant,
  departure: Departure & { readonly reason: string },
): Roster {
  const { sid } = participant;
  const { noticedAt } = departure;
  if (departure.reason === MOVED) return join(roster, participant, { noticedAt });
  const known = roster.members.find((member) => member.sid === sid);
  if (known?.departure?.isReported) return roster;
  const member = memberOf(participant, known, noticedAt);
  return replaceEarlier(depart(roster, member, departure), sid, noticedAt);
}

function memberOf(participant: EventParticipant, known: Member | undefined, noticedAt: Timestamp): Member {
  return {
    sid: participant.sid,
    identity: participant.identity,
    role: participant.role,
    joinedAt: participant.joinedAt ?? known?.joinedAt ?? null,
    noticedAt: known?.noticedAt ?? noticedAt,
    phone: phoneState(known?.phone ?? null, participant),
    departure: null,
    missingSince: null,
  };
}

export function publishAudio(roster: Roster, sid: string, noticedAt: Timestamp): Roster {
  const isNew = !roster.audioFrom.includes(sid) && roster.audioFrom.length < MAX_AUDIO;
  const audioFrom = isNew ? [...roster.audioFrom, sid] : roster.audioFrom;
  // A participant that publishes is there, whatever LiveKit's list lacked.
  const members = roster.members.map((member) =>
    member.sid === sid ? { ...member, missingSince: null } : member,
  );
  return settle({ ...roster, audioFrom, members }, noticedAt);
}

/** @param askedAt when the list was requested: members noticed later than that need not be on it */
export interface ParticipantList {
  readonly participants: readonly EventParticipant[];
  readonly askedAt: Timestamp;
  /** The roster's version when the list was requested. */
  readonly version: string;
  /** False right after LiveKit was away, while its clients return: then nobody is missing. */
  readonly isTrusted: boolean;
}

/** The room started; again, if it has members already. */
export function start(roster: Roster, reportedAt: Timestamp | undefined, noticedAt: Timestamp): Roster {
  if (reportedAt === undefined) return roster;
  const moved = { at: reportedAt, noticedAt };
  return membersBefore(roster, reportedAt).length === 0 ? roster : { ...roster, moved };
}

/** Present members who joined the room on an earlier node: LiveKit may list them though they are gone. */
export function suspects(roster: Roster): readonly Member[] {
  return roster.moved === null ? [] : membersBefore(roster, roster.moved.at);
}

function membersBefore(roster: Roster, moment: Timestamp): readonly Member[] {
  return roster.members.filter(
    ({ role, joinedAt, noticedAt, departure }) =>
      departure === null && role !== 'recorder' && role !== 'other' && (joinedAt ?? noticedAt) < moment,
  );
}

/** The suspects were asked for, and these do not answer: their node died with them. */
export function loseSuspects(roster: Roster, lost: readonly string[], noticedAt: Timestamp): Roster {
  const at = roster.moved?.at ?? noticedAt;
  const departure = { at, noticedAt, reason: NODE_LOST, isReported: false, isAborted: false };
  return suspects(roster)
    .filter(({ sid }) => lost.includes(sid))
    .reduce<Roster>((next, member) => depart(next, member, { ...departure, sid: member.sid }), {
      ...roster,
      moved: null,
    });
}

/** Applies LiveKit's list of the room's participants: whoever is on it is there. */
export function observe(
  roster: Roster,
  { participants, askedAt, isTrusted }: ParticipantList,
  now: Timestamp,
): Roster {
  let next = roster;
  for (const participant of decisive(roster, participants)) {
    const known = next.members.find(({ sid }) => sid === participant.sid);
    const departure = known?.departure ?? null;
    if (departure !== null && departure.reason !== null) {
      const isStale = departure.reason === NODE_LOST || askedAt - departure.noticedAt < LIST_LAG_MS;
      if (isStale) continue;
      const members = next.members.map((member) =>
        member === known ? { ...member, departure: null } : member,
      );
      next = { ...next, members };
    }
    next = join(next, participant, { noticedAt: now });
  }
  if (!isTrusted) return next;
  const listed = new Set(participants.map(({ sid }) => sid));
  for (const member of next.members) {
    if (member.departure !== null || listed.has(member.sid) || member.noticedAt >= askedAt) continue;
    next = miss(next, member, askedAt);
  }
  return next;
}

/** Of a list longer than a roster: the members, and of the others those that a roster keeps. */
function decisive(
  { members }: Roster,
  participants: readonly EventParticipant[],
): readonly EventParticipant[] {
  if (participants.length <= MAX_MEMBERS) return participants;
  const known = new Set(members.map(({ sid }) => sid));
  const old = participants.filter(({ sid }) => known.has(sid));
  const others = participants.filter(({ sid }) => !known.has(sid));
  const rank = ({ role }: EventParticipant) => RANKS.indexOf(role);
  return [...old, ...others.toSorted((a, b) => rank(b) - rank(a)).slice(0, MAX_MEMBERS)];
}

/** When a member has been missing for long enough to look again; null when none is missing. */
export function missingDueAt(roster: Roster): Timestamp | null {
  const since = roster.members.flatMap(({ departure, missingSince }) =>
    departure === null && missingSince !== null ? [missingSince] : [],
  );
  return since.length === 0 ? null : Math.min(...since) + MISSING_FOR_MS;
}

/** A new call in a session that an earlier call ended in: it begins with the participants who are there. */
export function carriedOver(roster: Roster): Roster {
  const here = roster.members.filter(({ departure }) => departure === null);
  const empty = { ...newRoster(roster, roster.createdAt), audioFrom: roster.audioFrom };
  return {
    ...here.reduce<Roster>((next, member) => put(next, member, member.noticedAt), empty),
    answeredPhones: here.filter(({ phone }) => phone !== null && phone.answeredAt !== null).length,
  };
}

function miss(roster: Roster, member: Member, askedAt: Timestamp): Roster {
  // A clock that was set back begins the wait anew.
  const since = Math.min(member.missingSince ?? askedAt, askedAt);
  if (askedAt - since >= MISSING_FOR_MS) {
    return depart(roster, member, {
      sid: member.sid,
      at: since,
      noticedAt: since,
      reason: null,
      isReported: false,
      isAborted: false,
    });
  }
  return replace(roster, { ...member, missingSince: since });
}

function put(roster: Roster, member: Member, noticedAt: Timestamp): Roster {
  const known = roster.members.find(({ sid }) => sid === member.sid);
  const next =
    known === undefined ? { ...roster, members: [...roster.members, member] } : replace(roster, member);
  const settled = settle(next, noticedAt);
  // A participant on hold may not publish any more: it has left the conversation, though not the room.
  const hasStepped = known !== undefined && known.departure === null && known.role !== member.role;
  if (!hasStepped || member.departure !== null || !isCompany(known)) return settled;
  return {
    ...settled,
    departures: settled.departures + 1,
    lastLeaveNoticedAt: Math.max(settled.lastLeaveNoticedAt ?? 0, noticedAt),
  };
}

/** There is one participant of an identity at most: the earlier one is gone, reported or not. */
function replaceEarlier(roster: Roster, sid: string, noticedAt: Timestamp): Roster {
  const member = roster.members.find((one) => one.sid === sid);
  if (member === undefined) return roster;
  const same = roster.members.filter((one) => one.identity === member.identity);
  return same.reduce<Roster>((next, one) => {
    const later = same.find((other) => isBefore(one, other));
    if (one.departure !== null || later === undefined) return next;
    const at = Math.min(later.joinedAt ?? noticedAt, noticedAt);
    const departure = { sid: one.sid, at, noticedAt, reason: REPLACED, isReported: false, isAborted: false };
    return depart(next, one, departure);
  }, roster);
}

function isBefore(one: Member, other: Member): boolean {
  return (one.joinedAt ?? Number.POSITIVE_INFINITY) < (other.joinedAt ?? 0);
}

function depart(roster: Roster, gone: Member, departure: Departure): Roster {
  const settled = put(roster, { ...gone, departure, missingSince: null }, departure.noticedAt);
  const member = settled.members.find(({ sid }) => sid === gone.sid) ?? gone;
  const { role, phone } = member;
  if (role === 'recorder' || role === 'other') return settled;
  // LiveKit reports an aborted connection instead of a join: nobody but a ringing phone was ever there.
  if (departure.isAborted && role !== 'phone') return { ...settled, departures: settled.departures + 1 };
  const isTalker = role === 'person' || (phone !== null && phone.answeredAt !== null);
  return {
    ...settled,
    departures: settled.departures + 1,
    lastLeaveNoticedAt: Math.max(settled.lastLeaveNoticedAt ?? 0, departure.noticedAt),
    lastTalkerLeft: isTalker ? laterOf(settled.lastTalkerLeft, departure) : settled.lastTalkerLeft,
    lastPersonLeft: role === 'person' ? laterOf(settled.lastPersonLeft, departure) : settled.lastPersonLeft,
    lastAgentLeft: role === 'agent' ? laterOf(settled.lastAgentLeft, departure) : settled.lastAgentLeft,
    lastPhoneLeft:
      phone === null
        ? settled.lastPhoneLeft
        : laterOf(settled.lastPhoneLeft, {
            ...departure,
            direction: directionOf(phone),
            hasRung: phone.hasRung,
            isAnswered: phone.answeredAt !== null,
          }),
  };
}

/** A report replaces the inference about the same participant, though it is of an earlier moment. */
function laterOf<T extends Departure>(last: T | null, departure: T): T {
  return last !== null && last.sid !== departure.sid && last.at > departure.at ? last : departure;
}

function replace(roster: Roster, member: Member): Roster {
  return { ...roster, members: roster.members.map((one) => (one.sid === member.sid ? member : one)) };
}

/** Brings everything that follows from the members up to date. */
function settle(roster: Roster, noticedAt: Timestamp): Roster {
  const audioFrom = roster.audioFrom.filter((sid) => {
    const publisher = roster.members.find((member) => member.sid === sid);
    if (publisher === undefined) return true;
    return publisher.departure === null && (publisher.role === 'agent' || publisher.role === 'person');
  });
  // Audio of a participant who is not known yet may be a phone's own.
  const hasAudio = audioFrom.some((sid) => roster.members.some((member) => member.sid === sid));
  const members = roster.members.map((member) => withAnswer(member, hasAudio, noticedAt));
  const answered = members.filter(({ phone }, i) => {
    return phone?.answeredAt != null && roster.members[i]?.phone?.answeredAt == null;
  });
  return {
    ...roster,
    audioFrom,
    members: crop(members),
    firstPhone: members.reduce(firstOf, roster.firstPhone),
    talkedSince: earliest(roster.isCropped ? roster.talkedSince : null, talkSince(members, isCompany)),
    peopleSince: earliest(roster.isCropped ? roster.peopleSince : null, talkSince(members, isPerson)),
    isCropped: roster.isCropped || members.length > MAX_MEMBERS,
    hadCompany: roster.hadCompany || members.some(isCompany),
    answeredPhones: roster.answeredPhones + answered.length,
  };
}

/** An agent or a person who was there. LiveKit reports an aborted connection instead of a join. */
function isCompany({ role, departure }: Member): boolean {
  return (role === 'agent' || role === 'person') && !(departure?.isAborted ?? false);
}

function phoneState(before: PhoneState | null, { phone }: EventParticipant): PhoneState | null {
  if (phone === null) return null;
  return {
    ...phone,
    hasRung: phone.callStatus === 'ringing' || (before?.hasRung ?? false),
    answeredAt: before?.answeredAt ?? null,
  };
}

function withAnswer(member: Member, hasAudio: boolean, noticedAt: Timestamp): Member {
  const { phone } = member;
  if (phone === null || phone.answeredAt !== null || !isAnswered(phone, hasAudio)) return member;
  return { ...member, phone: { ...phone, answeredAt: noticedAt } };
}

function isAnswered(phone: PhoneState, hasAudio: boolean): boolean {
  if (phone.via === 'connector') return true;
  // automation: answered, and DTMF is being sent.
  if (phone.callStatus === 'active' || phone.callStatus === 'automation') return true;
  // Outbound, livekit-sip writes the tag when the phone is answered. Inbound the tag is there from the start; there the
  // audio of another participant answers.
  return directionOf(phone) === 'outbound'
    ? phone.callTag !== null
    : phone.callStatus === 'ringing' && hasAudio;
}

function firstOf(first: FirstPhone | null, { sid, phone, joinedAt, noticedAt }: Member): FirstPhone | null {
  if (phone === null) return first;
  const since = joinedAt ?? noticedAt;
  if (first !== null && first.sid !== sid && first.joinedAt <= since) return first;
  return {
    sid,
    joinedAt: since,
    phoneNumber: phone.phoneNumber ?? (first?.sid === sid ? first.phoneNumber : null),
    direction: phone.via === 'sip' ? directionOf(phone) : null,
  };
}

/** The first moment at which a person and another participant who counts were there together. */
function talkSince(members: readonly Member[], counts: (member: Member) => boolean): Timestamp | null {
  const stays = members
    .filter(counts)
    .map(({ identity, role, joinedAt, noticedAt, departure }) => ({
      identity,
      role,
      from: joinedAt ?? noticedAt,
      until: departure === null ? Number.POSITIVE_INFINITY : latest(departure.at),
    }))
    .toSorted((a, b) => a.from - b.from);
  const isTalk = (moment: Timestamp) => {
    const there = stays.filter(({ from, until }) => from <= moment && moment < until);
    // A connection that its own participant has replaced is not another one.
    return there.some(isPerson) && new Set(there.map(({ identity }) => identity)).size >= 2;
  };
  return stays.map(({ from }) => from).find(isTalk) ?? null;
}

/** LiveKit reports a leaving in whole seconds, cut off. */
const latest = (at: Timestamp) => (at % 1_000 === 0 ? at + 999 : at);

const isPerson = ({ role }: { readonly role: Role }) => role === 'person';

function earliest(one: Timestamp | null, other: Timestamp | null): Timestamp | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

/**
 * Keeps the participants that decide: members who left go first, then those who count for nothing, then the people who
 * came first. LiveKit is asked before a call ends by inference, and a member who was dropped is there again then.
 */
function crop(members: readonly Member[]): readonly Member[] {
  const excess = members.length - MAX_MEMBERS;
  if (excess <= 0) return members;
  const rank = ({ departure, role }: Member) => {
    if (departure !== null) return -1;
    return RANKS.indexOf(role);
  };
  // The sort is stable: of equal worth, the first to come is the first to go.
  const dropped = new Set(members.toSorted((a, b) => rank(a) - rank(b)).slice(0, excess));
  return members.filter((member) => !dropped.has(member));
}
