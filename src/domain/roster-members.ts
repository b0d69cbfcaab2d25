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
import { earliest, type Timestamp } from './time.ts';

/* The members of a roster, and the facts derived from them. */

/** Adds a member, or replaces the member of the same sid, and derives the facts again. */
export function upsertMember(roster: Roster, member: Member, noticedAt: Timestamp): Roster {
  const existing = roster.members.find(({ sid }) => sid === member.sid);
  const updated = deriveFacts(
    existing === undefined
      ? { ...roster, members: [...roster.members, member] }
      : replaceMember(roster, member),
    noticedAt,
  );
  // A participant on hold may not publish: the role changes, which counts as a departure from the conversation.
  const hasChangedRole =
    existing !== undefined && existing.departure === null && existing.role !== member.role;
  if (!hasChangedRole || member.departure !== null || !isCompany(existing)) return updated;
  return {
    ...updated,
    departures: updated.departures + 1,
    lastLeaveNoticedAt: Math.max(updated.lastLeaveNoticedAt ?? 0, noticedAt),
  };
}

/** Records the departure of earlier members with the same identity: LiveKit allows one participant per identity. */
export function replaceEarlierConnections(roster: Roster, sid: string, noticedAt: Timestamp): Roster {
  const identity = roster.members.find((member) => member.sid === sid)?.identity;
  if (identity === undefined) return roster;
  const connections = roster.members.filter((member) => member.identity === identity);
  return connections.reduce<Roster>((next, member) => {
    const later = connections.find((other) => joinedBefore(member, other));
    if (member.departure !== null || later === undefined) return next;
    const at = Math.min(later.joinedAt ?? noticedAt, noticedAt);
    return recordDeparture(next, member, {
      sid: member.sid,
      at,
      noticedAt,
      reason: REPLACED,
      isReported: false,
      isAborted: false,
    });
  }, roster);
}

function joinedBefore(member: Member, other: Member): boolean {
  return (member.joinedAt ?? Number.POSITIVE_INFINITY) < (other.joinedAt ?? 0);
}

/** Marks a member as departed, and records the departure by role. */
export function recordDeparture(roster: Roster, departing: Member, departure: Departure): Roster {
  const updated = upsertMember(roster, { ...departing, departure, missingSince: null }, departure.noticedAt);
  const { role, phone } = updated.members.find(({ sid }) => sid === departing.sid) ?? departing;
  if (role === 'recorder' || role === 'other') return updated;
  // LiveKit reports an aborted connection instead of a join: only a phone counts, because it may have rung.
  if (departure.isAborted && role !== 'phone') return { ...updated, departures: updated.departures + 1 };
  const isTalker = role === 'person' || (phone !== null && phone.answeredAt !== null);
  return {
    ...updated,
    departures: updated.departures + 1,
    lastLeaveNoticedAt: Math.max(updated.lastLeaveNoticedAt ?? 0, departure.noticedAt),
    lastTalkerLeft: isTalker ? laterOf(updated.lastTalkerLeft, departure) : updated.lastTalkerLeft,
    lastPersonLeft: role === 'person' ? laterOf(updated.lastPersonLeft, departure) : updated.lastPersonLeft,
    lastAgentLeft: role === 'agent' ? laterOf(updated.lastAgentLeft, departure) : updated.lastAgentLeft,
    lastPhoneLeft:
      phone === null
        ? updated.lastPhoneLeft
        : laterOf(updated.lastPhoneLeft, {
            ...departure,
            direction: directionOf(phone),
            hasRung: phone.hasRung,
            isAnswered: phone.answeredAt !== null,
          }),
  };
}

/** A reported departure replaces the inferred one of the same participant, even if it is earlier. */
function laterOf<T extends Departure>(recorded: T | null, departure: T): T {
  const isLater = recorded !== null && recorded.sid !== departure.sid && recorded.at > departure.at;
  return isLater ? recorded : departure;
}

/** Replaces the member of the same sid. The derived facts stay as they are. */
export function replaceMember(roster: Roster, member: Member): Roster {
  return {
    ...roster,
    members: roster.members.map((other) => (other.sid === member.sid ? member : other)),
  };
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
  const answeredIds = (list: readonly Member[]) =>
    new Set(list.flatMap(({ sid, phone }) => (phone?.answeredAt != null ? [phone.callId ?? sid] : [])));
  const answeredBefore = answeredIds(roster.members);
  const newlyAnswered = [...answeredIds(members)].filter((id) => !answeredBefore.has(id));
  return {
    ...roster,
    audioFrom,
    members: limitMembers(members),
    firstPhone: members.reduce(firstPhoneOf, roster.firstPhone),
    talkedSince: earliest(
      roster.isCropped ? roster.talkedSince : null,
      conversationStart(members, isCompany),
    ),
    peopleSince: earliest(roster.isCropped ? roster.peopleSince : null, conversationStart(members, isPerson)),
    isCropped: roster.isCropped || members.length > MAX_MEMBERS,
    hadCompany: roster.hadCompany || members.some(isCompany),
    answeredPhones: roster.answeredPhones + newlyAnswered.length,
  };
}

/** True for an agent or a person who was in the room. An aborted connection was never in the room. */
function isCompany({ role, departure }: Member): boolean {
  return (role === 'agent' || role === 'person') && !(departure?.isAborted ?? false);
}

/** Returns the phone's new attributes with the facts that the roster already has about the phone. */
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

function firstPhoneOf(
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
  isCounted: (member: Member) => boolean,
): Timestamp | null {
  const stays = members
    .filter(isCounted)
    .map(({ identity, role, joinedAt, noticedAt, departure }) => ({
      identity,
      role,
      from: joinedAt ?? noticedAt,
      until: departure === null ? Number.POSITIVE_INFINITY : endOfSecond(departure.at),
    }))
    .toSorted((a, b) => a.from - b.from);
  const isConversation = (moment: Timestamp) => {
    const present = stays.filter(({ from, until }) => from <= moment && moment < until);
    // Two connections of one identity are one participant.
    return present.some(isPerson) && new Set(present.map(({ identity }) => identity)).size >= 2;
  };
  return stays.map(({ from }) => from).find(isConversation) ?? null;
}

/** LiveKit reports departures in whole seconds, rounded down. */
const endOfSecond = (at: Timestamp) => (at % 1_000 === 0 ? at + 999 : at);

const isPerson = ({ role }: { readonly role: Role }) => role === 'person';

/**
 * Drops members over the limit: first those who left, then by {@link ROLE_RANKS}, the earliest first.
 * hangup requests LiveKit's list before a call ends by inference, and that list restores dropped members.
 */
function limitMembers(members: readonly Member[]): readonly Member[] {
  const excess = members.length - MAX_MEMBERS;
  if (excess <= 0) return members;
  const rank = ({ departure, role }: Member) => (departure === null ? ROLE_RANKS.indexOf(role) : -1);
  // The sort is stable: among equal ranks, the earliest member is dropped first.
  const dropped = new Set(members.toSorted((a, b) => rank(a) - rank(b)).slice(0, excess));
  return members.filter((member) => !dropped.has(member));
}
