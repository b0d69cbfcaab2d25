import type { EventParticipant, PhoneAttributes, Role, RoomEvent } from './room-event.ts';
import type { Timestamp } from './time.ts';

/** What a call remembers of the present life of its room: no more than a rule or a reader needs. */
export interface RoomLife {
  readonly sid: string;
  /** Before it was told: the time of the first event of it. */
  readonly createdAt: Timestamp;
  readonly participants: readonly Attendance[];
  /** Sids of who published audio, as far as they are not known to be phones or to have left. */
  readonly audioFrom: readonly string[];
  /** The phone that joined last, as it was last told of; one that left only when no other is there. */
  readonly phone: Phone | null;
}

export interface Attendance {
  readonly sid: string;
  readonly identity: string;
  readonly role: Role;
  /** One that left stays on the list, so that a join that is told late does not bring it back. */
  readonly isPresent: boolean;
  readonly joinedAt: Timestamp | null;
}

export interface Phone extends PhoneAttributes {
  readonly sid: string;
  readonly disconnectReason: string | null;
}

/** Of a room with more, of those who left the first are forgotten, then the humans that came first: enough others stay. */
export const REMEMBERED_PARTICIPANTS = 100;

/** One phone's audio may come before it is known to be a phone's. */
export const REMEMBERED_AUDIO = 4;

export function beginLife({ room, at }: RoomEvent): RoomLife {
  return { sid: room.sid, createdAt: room.createdAt ?? at, participants: [], audioFrom: [], phone: null };
}

export function isPresent(life: RoomLife | null, role: Role): boolean {
  return life?.participants.some((one) => one.isPresent && one.role === role) ?? false;
}

/** Whether somebody other than the phone has published audio: what makes livekit-sip answer an inbound call. */
export function isAnswering(life: RoomLife): boolean {
  return life.audioFrom.length > 0;
}

/** The life after an event of it. */
export function remember(life: RoomLife, { sign, room }: RoomEvent): RoomLife {
  const known = { ...life, createdAt: room.createdAt ?? life.createdAt };
  switch (sign.kind) {
    case 'room_started':
    case 'room_finished':
      return known;
    case 'participant_joined':
    case 'participant_seen':
      return attend(known, sign.participant, true, null);
    case 'participant_left':
    case 'participant_connection_aborted':
      return attend(known, sign.participant, false, sign.reason);
    case 'audio_published':
      return hear(known, sign.participantSid);
  }
}

export function hasLeft(life: RoomLife, sid: string): boolean {
  return life.participants.some((one) => one.sid === sid && !one.isPresent);
}

function attend(
  life: RoomLife,
  participant: EventParticipant,
  isHere: boolean,
  disconnectReason: string | null,
): RoomLife {
  const { sid, identity, role, joinedAt } = participant;
  const isOver = hasLeft(life, sid);
  const now = { sid, identity, role, isPresent: isHere && !isOver, joinedAt };
  const known = life.participants.map((one) => {
    if (one.sid === sid) return now;
    return isReplacedBy(one, participant) ? { ...one, isPresent: false } : one;
  });
  const participants = crop(known.includes(now) ? known : [...known, now]);
  // What is told again, or too late, of who has left is no news of the phone.
  const phone = isOver ? life.phone : phoneAfter(life, known, participant, isHere, disconnectReason);
  return heard({ ...life, participants, phone });
}

/** Of one identity there is one at most: the earlier one is gone, whether or not that was told. */
function isReplacedBy(one: Attendance, { identity, joinedAt }: EventParticipant): boolean {
  return one.identity === identity && (one.joinedAt ?? Number.POSITIVE_INFINITY) < (joinedAt ?? 0);
}

function phoneAfter(
  { phone: last }: RoomLife,
  participants: readonly Attendance[],
  { sid, phone }: EventParticipant,
  isHere: boolean,
  disconnectReason: string | null,
): Phone | null {
  if (phone === null) return last;
  const isAnotherThere = participants.some(
    (one) => one.sid === last?.sid && one.sid !== sid && one.isPresent,
  );
  return !isHere && isAnotherThere ? last : { ...phone, sid, disconnectReason };
}

function hear(life: RoomLife, sid: string): RoomLife {
  if (life.audioFrom.includes(sid) || life.audioFrom.length >= REMEMBERED_AUDIO) return life;
  return heard({ ...life, audioFrom: [...life.audioFrom, sid] });
}

/** Without the audio of phones and of those who left. */
function heard(life: RoomLife): RoomLife {
  const counts = (sid: string) => {
    const publisher = life.participants.find((one) => one.sid === sid);
    return publisher === undefined || (publisher.isPresent && publisher.role !== 'phone');
  };
  return life.audioFrom.every(counts) ? life : { ...life, audioFrom: life.audioFrom.filter(counts) };
}

function crop(participants: readonly Attendance[]): readonly Attendance[] {
  const excess = participants.length - REMEMBERED_PARTICIPANTS;
  if (excess <= 0) return participants;
  const worth = ({ isPresent: isHere, role }: Attendance) => {
    if (!isHere) return 0;
    return role === 'human' || role === 'other' ? 1 : 2;
  };
  // The sort is stable: of equal worth, who came first goes first.
  const forgotten = new Set(participants.toSorted((a, b) => worth(a) - worth(b)).slice(0, excess));
  return participants.filter((one) => !forgotten.has(one));
}
