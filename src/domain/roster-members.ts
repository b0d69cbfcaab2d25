import type { Participant, Role } from './room-event.ts';
import {
  type Departure,
  directionOf,
  type FirstPhone,
  MAX_MEMBERS,
  type Member,
  type PhoneState,
  REPLACED,
  ROLE_RANKS,
  type Roster,
} from './roster.ts';
import type { Timestamp } from './time.ts';

/* The members of a roster, and the facts derived from them. */

export function upsertMember(roster: Roster, member: Member, noticedAt: Timestamp): Roster {
  const known = roster.members.find(({ sid }) => sid === member.sid);
  const next =
    known === undefined ? { ...roster, members: [...roster.members, member] } : replaceMember(roster, member);
  const settled = deriveFacts(next, noticedAt);
  // A participant on hold may not publish: the role changes, which counts as a departure from the conversation.
  const hasStepped = known !== undefined && known.departure === null && known.role !== member.role;
  if (!hasStepped || member.departure !== null || !isCompany(known)) return settled;
  return {
    ...settled,
    departures: settled.departures + 1,
    lastLeaveNoticedAt: Math.max(settled.lastLeaveNoticedAt ?? 0, noticedAt),
  };
}

/** Records the departure of earlier members with the same identity: LiveKit allows one participant per identity. */
export function replaceEarlier(roster: Roster, sid: string, noticedAt: Timestamp): Roster {
  const member = roster.members.find((one) => one.sid === sid);
  if (member === undefined) return roster;
  const same = roster.members.filter((one) => one.identity === member.identity);
  return same.reduce<Roster>((next, one) => {
    const later = same.find((other) => isBefore(one, other));
    if (one.departure !== null || later === undefined) return next;
    const at = Math.min(later.joinedAt ?? noticedAt, noticedAt);
    const departure = { sid: one.sid, at, noticedAt, reason: REPLACED, isReported: false, isAborted: false };
    return recordDeparture(next, one, departure);
  }, roster);
}

function isBefore(one: Member, other: Member): boolean {
  return (one.joinedAt ?? Number.POSITIVE_INFINITY) < (other.joinedAt ?? 0);
}

export function recordDeparture(roster: Roster, gone: Member, departure: Departure): Roster {
  const settled = upsertMember(roster, { ...gone, departure, missingSince: null }, departure.noticedAt);
  const member = settled.members.find(({ sid }) => sid === gone.sid) ?? gone;
  const { role, phone } = member;
  if (role === 'recorder' || role === 'other') return settled;
  // LiveKit reports an aborted connection instead of a join: only a phone counts, because it may have rung.
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

/** A reported departure replaces the inferred one of the same participant, even if it is earlier. */
function laterOf<T extends Departure>(last: T | null, departure: T): T {
  return last !== null && last.sid !== departure.sid && last.at > departure.at ? last : departure;
}

export function replaceMember(roster: Roster, member: Member): Roster {
  return { ...roster, members: roster.members.map((one) => (one.sid === member.sid ? member : one)) };
}

/** Recomputes all facts that are derived from the members. */
export function deriveFacts(roster: Roster, noticedAt: Timestamp): Roster {
  const audioFrom = roster.audioFrom.filter((sid) => {
    const publisher = roster.members.find((member) => member.sid === sid);
    if (publisher === undefined) return true;
    return publisher.departure === null && (publisher.role === 'agent' || publisher.role === 'person');
  });
  // Audio of an unknown participant may be the phone's own.
  const hasAudio = audioFrom.some((sid) => roster.members.some((member) => member.sid === sid));
  const members = roster.members.map((member) => recordAnswer(member, hasAudio, noticedAt));
  // A phone that reconnects after its node died has another sid, and the same SIP call id.
  const phonesIn = (list: readonly Member[]) =>
    new Set(list.flatMap(({ sid, phone }) => (phone?.answeredAt != null ? [phone.callId ?? sid] : [])));
  const before = phonesIn(roster.members);
  const answered = [...phonesIn(members)].filter((id) => !before.has(id));
  return {
    ...roster,
    audioFrom,
    members: limitMembers(members),
    firstPhone: members.reduce(earlierPhone, roster.firstPhone),
    talkedSince: earliest(
      roster.isCropped ? roster.talkedSince : null,
      conversationStart(members, isCompany),
    ),
    peopleSince: earliest(roster.isCropped ? roster.peopleSince : null, conversationStart(members, isPerson)),
    isCropped: roster.isCropped || members.length > MAX_MEMBERS,
    hadCompany: roster.hadCompany || members.some(isCompany),
    answeredPhones: roster.answeredPhones + answered.length,
  };
}

/** True for an agent or a person who was in the room. An aborted connection was never in the room. */
function isCompany({ role, departure }: Member): boolean {
  return (role === 'agent' || role === 'person') && !(departure?.isAborted ?? false);
}

export function phoneState(before: PhoneState | null, { phone }: Participant): PhoneState | null {
  if (phone === null) return null;
  return {
    ...phone,
    hasRung: phone.callStatus === 'ringing' || (before?.hasRung ?? false),
    answeredAt: before?.answeredAt ?? null,
  };
}

function recordAnswer(member: Member, hasAudio: boolean, noticedAt: Timestamp): Member {
  const { phone } = member;
  if (phone === null || phone.answeredAt !== null || !isAnswered(phone, hasAudio)) return member;
  return { ...member, phone: { ...phone, answeredAt: noticedAt } };
}

function isAnswered(phone: PhoneState, hasAudio: boolean): boolean {
  if (phone.via === 'connector') return true;
  // `automation`: the phone was answered, and LiveKit is sending DTMF.
  if (phone.callStatus === 'active' || phone.callStatus === 'automation') return true;
  // Outbound: livekit-sip sets the tag when the phone is answered. Inbound: the tag exists from the start, and the first
  // audio of another participant answers the phone.
  return directionOf(phone) === 'outbound'
    ? phone.callTag !== null
    : phone.callStatus === 'ringing' && hasAudio;
}

function earlierPhone(
  first: FirstPhone | null,
  { sid, phone, joinedAt, noticedAt }: Member,
): FirstPhone | null {
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

/** Returns the first moment when a person and another counted participant were in the room together. */
function conversationStart(
  members: readonly Member[],
  counts: (member: Member) => boolean,
): Timestamp | null {
  const stays = members
    .filter(counts)
    .map(({ identity, role, joinedAt, noticedAt, departure }) => ({
      identity,
      role,
      from: joinedAt ?? noticedAt,
      until: departure === null ? Number.POSITIVE_INFINITY : endOfSecond(departure.at),
    }))
    .toSorted((a, b) => a.from - b.from);
  const isTalk = (moment: Timestamp) => {
    const there = stays.filter(({ from, until }) => from <= moment && moment < until);
    // Two connections of one identity are one participant.
    return there.some(isPerson) && new Set(there.map(({ identity }) => identity)).size >= 2;
  };
  return stays.map(({ from }) => from).find(isTalk) ?? null;
}

/** LiveKit reports departures in whole seconds, rounded down. */
const endOfSecond = (at: Timestamp) => (at % 1_000 === 0 ? at + 999 : at);

const isPerson = ({ role }: { readonly role: Role }) => role === 'person';

function earliest(one: Timestamp | null, other: Timestamp | null): Timestamp | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

/**
 * Drops members over the limit: first those who left, then the roles that do not count, then the earliest people.
 * hangup requests LiveKit's list before a call ends by inference, and that list restores dropped members.
 */
function limitMembers(members: readonly Member[]): readonly Member[] {
  const excess = members.length - MAX_MEMBERS;
  if (excess <= 0) return members;
  const rank = ({ departure, role }: Member) => {
    if (departure !== null) return -1;
    return ROLE_RANKS.indexOf(role);
  };
  // The sort is stable: among equal ranks, the earliest member is dropped first.
  const dropped = new Set(members.toSorted((a, b) => rank(a) - rank(b)).slice(0, excess));
  return members.filter((member) => !dropped.has(member));
}
