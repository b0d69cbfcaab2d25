import type { Timestamp } from './time.ts';

/** Something that LiveKit said of a room, in our words. */
export interface RoomEvent {
  /** LiveKit's id of the event, the same when it is told again. */
  readonly id: string;
  readonly at: Timestamp;
  readonly room: EventRoom;
  readonly sign: RoomSign;
}

export interface EventRoom {
  readonly name: string;
  /** Names one life of the room: the next room of the same name has another one. */
  readonly sid: string;
  /** Null in events about tracks, which do not say it. */
  readonly createdAt: Timestamp | null;
  /** Whatever somebody put there: never trusted. */
  readonly metadata: string;
}

export type RoomSign =
  | { readonly kind: 'room_started' }
  | { readonly kind: 'room_finished' }
  | { readonly kind: 'participant_joined'; readonly participant: EventParticipant }
  /** Not told but asked for: whoever is in the room now. */
  | { readonly kind: 'participant_seen'; readonly participant: EventParticipant }
  | { readonly kind: 'participant_left'; readonly participant: EventParticipant; readonly reason: string }
  | {
      readonly kind: 'participant_connection_aborted';
      readonly participant: EventParticipant;
      readonly reason: string;
    }
  | { readonly kind: 'audio_published'; readonly participantSid: string };

export interface EventParticipant {
  readonly sid: string;
  readonly identity: string;
  readonly role: Role;
  /** Null for who is no phone. */
  readonly phone: PhoneAttributes | null;
  readonly joinedAt: Timestamp | null;
}

/** What LiveKit's kind means to a call. Recorders and streams (`other`) do not make one. */
export type Role = 'agent' | 'human' | 'phone' | 'other';

/** The `sip.*` attributes that a rule or a reader needs. */
export interface PhoneAttributes {
  readonly callStatus: string | null;
  readonly callTag: string | null;
  readonly callId: string | null;
  readonly phoneNumber: string | null;
  readonly trunkPhoneNumber: string | null;
  readonly trunkId: string | null;
  /** Present: a dispatch rule took the call, so it came in. */
  readonly ruleId: string | null;
}
