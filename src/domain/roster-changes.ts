import type { Participant, RoomEventPayload } from './room-event.ts';
import {
  type Departure,
  LIST_LAG_MS,
  MAX_AUDIO_PUBLISHERS,
  MAX_MEMBERS,
  type Member,
  MISSING_CONFIRM_MS,
  MOVED,
  membersBefore,
  NODE_LOST,
  newRoster,
  ROLE_RANKS,
  type Roster,
  suspects,
} from './roster.ts';
import {
  deriveFacts,
  phoneState,
  recordDeparture,
  replaceEarlierConnections,
  replaceMember,
  upsertMember,
} from './roster-members.ts';
import type { Timestamp } from './time.ts';

/* Changes of a roster by webhooks and by LiveKit's participant lists. */

type ReportedLeave = Extract<
  RoomEventPayload,
  { kind: 'participant_left' | 'participant_connection_aborted' }
>;

/** Moves future times to now: after a clock was set back, a grace period must not last until the old time returns. */
export function clampToNow(roster: Roster, now: Timestamp): Roster {
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
    lastAgentLeft: clampDeparture(roster.lastAgentLeft, now),
    lastPersonLeft: clampDeparture(roster.lastPersonLeft, now),
    moved: moved && { ...moved, noticedAt: Math.min(moved.noticedAt, now) },
  };
}

const clampDeparture = (departure: Departure | null, now: Timestamp): Departure | null =>
  departure && { ...departure, noticedAt: Math.min(departure.noticedAt, now) };

/** Records a participant who joined, or whose presence an event shows. */
export function recordJoin(
  roster: Roster,
  participant: Participant,
  { noticedAt }: { noticedAt: Timestamp },
): Roster {
  const existing = roster.members.find(({ sid }) => sid === participant.sid);
  // A late join event. Only a member who left without a reported reason may be present again.
  if (existing !== undefined && existing.departure !== null && existing.departure.reason !== null)
    return roster;
  return replaceEarlierConnections(
    upsertMember(roster, memberOf(participant, existing, noticedAt), noticedAt),
    participant.sid,
    noticedAt,
  );
}

/** Records a leave that a webhook reported. LiveKit's clock may be ahead: a departure is never later than now. */
export function recordReportedLeave(
  roster: Roster,
  { kind, participant, reason }: ReportedLeave,
  { at, noticedAt }: { at: Timestamp; noticedAt: Timestamp },
): Roster {
  return recordLeave(roster, participant, {
    sid: participant.sid,
    at: Math.min(at, noticedAt),
    noticedAt,
    reason,
    isReported: true,
    isAborted: kind === 'participant_connection_aborted',
  });
}

/** Records a departure, or a connection that was never established. */
export function recordLeave(
  roster: Roster,
  participant: Participant,
  departure: Departure & { readonly reason: string },
): Roster {
  const { sid } = participant;
  const { noticedAt } = departure;
  if (departure.reason === MOVED) return recordJoin(roster, participant, { noticedAt });
  const existing = roster.members.find((member) => member.sid === sid);
  if (existing?.departure?.isReported) return roster;
  const member = memberOf(participant, existing, noticedAt);
  return replaceEarlierConnections(recordDeparture(roster, member, departure), sid, noticedAt);
}

function memberOf(participant: Participant, existing: Member | undefined, noticedAt: Timestamp): Member {
  return {
    sid: participant.sid,
    identity: participant.identity,
    role: participant.role,
    joinedAt: participant.joinedAt ?? existing?.joinedAt ?? null,
    noticedAt: existing?.noticedAt ?? noticedAt,
    phone: phoneState(existing?.phone ?? null, participant),
    departure: null,
    missingSince: null,
  };
}

/** Records that a participant published audio. */
export function recordAudio(roster: Roster, sid: string, noticedAt: Timestamp): Roster {
  const isNew = !roster.audioFrom.includes(sid) && roster.audioFrom.length < MAX_AUDIO_PUBLISHERS;
  const audioFrom = isNew ? [...roster.audioFrom, sid] : roster.audioFrom;
  // A participant who publishes is present, even if LiveKit's list lacked it.
  const members = roster.members.map((member) =>
    member.sid === sid ? { ...member, missingSince: null } : member,
  );
  return deriveFacts({ ...roster, audioFrom, members }, noticedAt);
}

/** LiveKit's list of a room's participants. The list may lack members who were noticed after `requestedAt`. */
export interface ParticipantList {
  readonly participants: readonly Participant[];
  readonly requestedAt: Timestamp;
  /** The roster's version when the list was requested. */
  readonly version: string;
  /** False right after an outage of LiveKit, while its clients reconnect: nobody counts as missing. */
  readonly isTrusted: boolean;
}

/** Records room_started. A start while the room has members means that the room moved to another node. */
export function recordRoomStart(
  roster: Roster,
  reportedAt: Timestamp | undefined,
  noticedAt: Timestamp,
): Roster {
  if (reportedAt === undefined) return roster;
  const moved = { at: reportedAt, noticedAt };
  return membersBefore(roster, reportedAt).length === 0 ? roster : { ...roster, moved };
}

/** Records the departure of probed suspects (by sid) that did not respond: they were lost with their node. */
export function loseSuspects(roster: Roster, lost: readonly string[], noticedAt: Timestamp): Roster {
  const at = roster.moved?.at ?? noticedAt;
  const departure = { at, noticedAt, reason: NODE_LOST, isReported: false, isAborted: false };
  return suspects(roster)
    .filter(({ sid }) => lost.includes(sid))
    .reduce<Roster>((next, member) => recordDeparture(next, member, { ...departure, sid: member.sid }), {
      ...roster,
      moved: null,
    });
}

/** Applies LiveKit's participant list: every listed participant is present. */
export function applyParticipantList(
  roster: Roster,
  { participants, requestedAt, isTrusted }: ParticipantList,
  now: Timestamp,
): Roster {
  let next = roster;
  for (const participant of limitParticipants(roster, participants)) {
    const existing = next.members.find(({ sid }) => sid === participant.sid);
    const departure = existing?.departure ?? null;
    if (departure !== null && departure.reason !== null) {
      const isStale = departure.reason === NODE_LOST || requestedAt - departure.noticedAt < LIST_LAG_MS;
      if (isStale) continue;
      const members = next.members.map((member) =>
        member === existing ? { ...member, departure: null } : member,
      );
      next = { ...next, members };
    }
    next = recordJoin(next, participant, { noticedAt: now });
  }
  if (!isTrusted) return next;
  const listed = new Set(participants.map(({ sid }) => sid));
  for (const member of next.members) {
    if (member.departure !== null || listed.has(member.sid) || member.noticedAt >= requestedAt) continue;
    next = markMissing(next, member, requestedAt);
  }
  return next;
}

/** Limits a long list to the members and the new participants with the highest ranks. */
function limitParticipants(
  { members }: Roster,
  participants: readonly Participant[],
): readonly Participant[] {
  if (participants.length <= MAX_MEMBERS) return participants;
  const memberSids = new Set(members.map(({ sid }) => sid));
  const memberParticipants = participants.filter(({ sid }) => memberSids.has(sid));
  const newParticipants = participants.filter(({ sid }) => !memberSids.has(sid));
  const rank = ({ role }: Participant) => ROLE_RANKS.indexOf(role);
  return [
    ...memberParticipants,
    ...newParticipants.toSorted((a, b) => rank(b) - rank(a)).slice(0, MAX_MEMBERS),
  ];
}

/** Returns the first roster of a call that starts in the session of an ended call: the present participants. */
export function rosterOfNewCall(roster: Roster): Roster {
  const present = roster.members.filter(({ departure }) => departure === null);
  const empty = { ...newRoster(roster, roster.createdAt), audioFrom: roster.audioFrom };
  return {
    ...present.reduce<Roster>((next, member) => upsertMember(next, member, member.noticedAt), empty),
    answeredPhones: present.filter(({ phone }) => phone !== null && phone.answeredAt !== null).length,
  };
}

/** Records that a list lacks a member. The second such list, late enough, is the member's departure. */
function markMissing(roster: Roster, member: Member, requestedAt: Timestamp): Roster {
  // A clock that was set back restarts the wait.
  const since = Math.min(member.missingSince ?? requestedAt, requestedAt);
  if (requestedAt - since >= MISSING_CONFIRM_MS) {
    return recordDeparture(roster, member, {
      sid: member.sid,
      at: since,
      noticedAt: since,
      reason: null,
      isReported: false,
      isAborted: false,
    });
  }
  return replaceMember(roster, { ...member, missingSince: since });
}
