import type { Direction } from './call-status.ts';
import type { PhoneAttributes, Role, RoomRef } from './room-event.ts';
import type { Timestamp } from './time.ts';

/**
 * The participants of one room session, with the facts that the rules need. Times are those of LiveKit's events, except
 * `noticedAt`, which is hangup's clock: a grace period starts when the fact reaches hangup.
 */
export interface Roster {
  readonly sid: string;
  /** The first event's time until LiveKit reports the room's own. */
  readonly createdAt: Timestamp;
  /** room_finished arrived, or the room's absence was confirmed. Later events of this session are stale. */
  readonly isFinished: boolean;
  /** The call ended because its room was missing, in error. hangup never deletes the room for that end. */
  readonly isEndedInError: boolean;
  /** At most {@link MAX_MEMBERS}; see `limitMembers`. */
  readonly members: readonly Member[];
  /** Sids of present participants who published audio, except phones. */
  readonly audioFrom: readonly string[];
  /** The session's first phone gives the call its direction and number. */
  readonly firstPhone: FirstPhone | null;
  /** Start of the first conversation of two people, or of a person and an agent. */
  readonly talkedSince: Timestamp | null;
  /** Start of the first conversation of two people. */
  readonly peopleSince: Timestamp | null;
  /** True once a member was dropped. Derived facts are then kept, not recomputed. */
  readonly isCropped: boolean;
  /** An agent or a person was in the room. */
  readonly hadCompany: boolean;
  /** Number of phones that were answered in this session. */
  readonly answeredPhones: number;
  /** `noticedAt` of the newest departure of an agent, a person or a phone. */
  readonly lastLeaveNoticedAt: Timestamp | null;
  /** Number of departures in this session. A list that was requested before a departure may be stale. */
  readonly departures: number;
  /** Departure of the last answered phone or person. */
  readonly lastTalkerLeft: Departure | null;
  readonly lastPersonLeft: Departure | null;
  readonly lastAgentLeft: Departure | null;
  readonly lastPhoneLeft: PhoneDeparture | null;
  /**
   * Set when the room restarted on another node while it had members: LiveKit keeps listing the participants of a dead
   * node. Null after each of these members was probed.
   */
  readonly moved: { readonly at: Timestamp; readonly noticedAt: Timestamp } | null;
  /** First and last request that the room's node did not answer. Null: the node responds, or was not probed. */
  readonly unresponsive: { readonly since: Timestamp; readonly lastAt: Timestamp } | null;
}

export interface Member {
  readonly sid: string;
  readonly identity: string;
  readonly role: Role;
  readonly joinedAt: Timestamp | null;
  readonly noticedAt: Timestamp;
  readonly phone: PhoneState | null;
  /** Members who left stay on the roster, so that a late join event does not add them again. */
  readonly departure: Departure | null;
  /** Time of the first participant list without this member, if no departure was reported. */
  readonly missingSince: Timestamp | null;
}

export interface PhoneState extends PhoneAttributes {
  readonly hasRung: boolean;
  /** Null until hangup detects the answer. */
  readonly answeredAt: Timestamp | null;
}

export interface Departure {
  /** Sid of the participant. */
  readonly sid: string;
  readonly at: Timestamp;
  readonly noticedAt: Timestamp;
  /** LiveKit's disconnect reason. Null: the participant is missing from LiveKit's list, and no webhook gave a reason. */
  readonly reason: string | null;
  /** True: reported by a webhook. False: inferred. */
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
  /** Null for a connector: LiveKit does not report its direction. */
  readonly direction: Direction | null;
}

/** A room may have thousands of participants; the call's row stores at most this many. */
export const MAX_MEMBERS = 100;
/** The audio event of a phone may arrive before its join event. */
export const MAX_AUDIO_PUBLISHERS = 4;
/** A participant or a room that is missing from two lists this far apart is gone. */
export const MISSING_CONFIRM_MS = 10_000;
/** LiveKit's list may still contain a participant this long after the departure was reported. */
export const LIST_LAG_MS = 5_000;

/** Roles by their weight in decisions, lowest first. */
export const ROLE_RANKS: readonly Role[] = ['recorder', 'other', 'person', 'agent', 'phone'];

/** A newer connection of the same identity replaced the participant. */
export const REPLACED = 'DUPLICATE_IDENTITY';
/** The participant's node died. LiveKit still lists the participant. */
export const NODE_LOST = 'NODE_LOST';
/** The participant moved to another node and is still in the room, under the same sid. */
export const MOVED = 'MIGRATION';

/** Returns the empty roster of a session. @param at used when the room has no creation time */
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

/** Two rosters of a call have the same version only if no departure was recorded between them. */
export function versionOf(roster: Roster | null): string {
  return roster === null ? '' : `${roster.sid}:${roster.departures}`;
}

export function presentMembers(roster: Roster, role: Role): readonly Member[] {
  return roster.members.filter((member) => member.role === role && member.departure === null);
}

/** Returns the phones (also dialing and ringing ones) and the people. Two parties are a conversation. */
export function parties(roster: Roster): readonly Member[] {
  return roster.members.filter(
    ({ role, departure }) => departure === null && (role === 'phone' || role === 'person'),
  );
}

/** True if a conversation began before the first phone joined: the phones are guests in it. */
export function phonesAreGuests({ talkedSince, firstPhone }: Roster): boolean {
  return talkedSince !== null && firstPhone !== null && talkedSince < firstPhone.joinedAt;
}

/** Returns the direction of a SIP phone. */
export function directionOf({ ruleId }: PhoneAttributes): Direction {
  return ruleId === null ? 'outbound' : 'inbound';
}

/** Returns present members who joined on an earlier node. LiveKit may list them although they are gone. */
export function suspects(roster: Roster): readonly Member[] {
  return roster.moved === null ? [] : membersBefore(roster, roster.moved.at);
}

/** Returns the present members who joined before a time, without the roles that do not count. */
export function membersBefore(roster: Roster, moment: Timestamp): readonly Member[] {
  return roster.members.filter(
    ({ role, joinedAt, noticedAt, departure }) =>
      departure === null && role !== 'recorder' && role !== 'other' && (joinedAt ?? noticedAt) < moment,
  );
}

/** Returns when the first missing member is due for another list. Null: no member is missing. */
export function missingDueAt(roster: Roster): Timestamp | null {
  const since = roster.members.flatMap(({ departure, missingSince }) =>
    departure === null && missingSince !== null ? [missingSince] : [],
  );
  return since.length === 0 ? null : Math.min(...since) + MISSING_CONFIRM_MS;
}
