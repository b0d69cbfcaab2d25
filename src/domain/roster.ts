import type { Direction } from './call.ts';
import type { PhoneAttributes, Role, RoomRef } from './room-event.ts';
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

export interface FirstPhone {
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
export const LIST_LAG_MS = 5_000;

/** By how much a participant decides, least first. */
export const RANKS: readonly Role[] = ['recorder', 'other', 'person', 'agent', 'phone'];

/** The participant was replaced by a newer connection of its own identity. */
export const REPLACED = 'DUPLICATE_IDENTITY';
/** The participant's node died, though LiveKit lists it. */
export const NODE_LOST = 'NODE_LOST';
/** The participant moved to another node: it is still there, under the same sid. */
export const MOVED = 'MIGRATION';

export function newRoster(room: Pick<RoomRef, 'sid' | 'createdAt'>, at: Timestamp): Roster {
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

/** Present members who joined the room on an earlier node: LiveKit may list them though they are gone. */
export function suspects(roster: Roster): readonly Member[] {
  return roster.moved === null ? [] : membersBefore(roster, roster.moved.at);
}

export function membersBefore(roster: Roster, moment: Timestamp): readonly Member[] {
  return roster.members.filter(
    ({ role, joinedAt, noticedAt, departure }) =>
      departure === null && role !== 'recorder' && role !== 'other' && (joinedAt ?? noticedAt) < moment,
  );
}

/** When a member has been missing for long enough to look again; null when none is missing. */
export function missingDueAt(roster: Roster): Timestamp | null {
  const since = roster.members.flatMap(({ departure, missingSince }) =>
    departure === null && missingSince !== null ? [missingSince] : [],
  );
  return since.length === 0 ? null : Math.min(...since) + MISSING_FOR_MS;
}
