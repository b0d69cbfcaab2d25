import type { EventParticipant, EventRoom, PhoneAttributes, Role, RoomEvent } from './room-event.ts';
import type { Timestamp } from './time.ts';

/** What a call remembers of the present life of its room: no more than a rule or a reader needs. */
export interface RoomLife {
  readonly sid: string;
  readonly createdAt: Timestamp | null;
  readonly participants: readonly Attendance[];
  /** Sids of who published audio; two tell whether another one than the phone did. */
  readonly audioFrom: readonly string[];
  /** The phone that joined last, as it was last told of. */
  readonly phone: Phone | null;
}

export interface Attendance {
  readonly sid: string;
  readonly identity: string;
  readonly role: Role;
  /** One that left stays on the list, so that a join that is told late does not bring it back. */
  readonly isPresent: boolean;
}

export interface Phone extends PhoneAttributes {
  readonly sid: string;
  readonly disconnectReason: string | null;
}

/** Of a room with more, those that left first are forgotten, then the humans that came first: enough others stay. */
export const REMEMBERED_PARTICIPANTS = 100;

export function beginLife({ sid, createdAt }: EventRoom): RoomLife {
  return { sid, createdAt, participants: [], audioFrom: [], phone: null };
}

export function isPresent(life: RoomLife | null, role: Role): boolean {
  return life?.participants.some((one) => one.isPresent && one.role === role) ?? false;
}

/** Whether somebody other than the phone has published audio: what makes livekit-sip answer an inbound call. */
export function isAnswering(life: RoomLife): boolean {
  return life.audioFrom.some((sid) => sid !== life.phone?.sid);
}

/** The life after an event of it. */
export function remember(life: RoomLife, { sign, room }: RoomEvent): RoomLife {
  const known = { ...life, createdAt: life.createdAt ?? room.createdAt };
  switch (sign.kind) {
    case 'room_started':
    case 'room_finished':
      return known;
    case 'participant_joined':
      return attend(known, sign.participant, true, null);
    case 'participant_left':
    case 'participant_connection_aborted':
      return attend(known, sign.participant, false, sign.reason);
    case 'audio_published':
      return known.audioFrom.includes(sign.participantSid) || known.audioFrom.length >= 2
        ? known
        : { ...known, audioFrom: [...known.audioFrom, sign.participantSid] };
  }
}

function attend(
  life: RoomLife,
  { sid, identity, role, phone }: EventParticipant,
  isHere: boolean,
  disconnectReason: string | null,
): RoomLife {
  const earlier = life.participants.find((one) => one.sid === sid);
  const hasLeft = earlier?.isPresent === false;
  const others = life.participants.filter((one) => one.sid !== sid);
  const participants = crop([...others, { sid, identity, role, isPresent: isHere && !hasLeft }]);
  if (phone === null || (isHere && hasLeft)) return { ...life, participants };
  return { ...life, participants, phone: { ...phone, sid, disconnectReason } };
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
