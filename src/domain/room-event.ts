import type { Timestamp } from './time.ts';

/** One webhook of LiveKit about a room, in hangup's terms. */
export interface RoomEvent {
  /** LiveKit's id of the event. A repeated delivery has the same id. */
  readonly id: string;
  readonly at: Timestamp;
  readonly room: RoomRef;
  readonly payload: RoomEventPayload;
}

export interface RoomRef {
  readonly name: string;
  /** Identifies one session of the room. The next room of the same name has another sid. */
  readonly sid: string;
  /** Null in events about tracks, which omit the time. */
  readonly createdAt: Timestamp | null;
  /** Written by clients: never trusted. */
  readonly metadata: string;
}

/** Returns the event that a listed room stands for. */
export function roomStartedEvent(room: RoomRef, now: Timestamp): RoomEvent {
  return { id: '', at: room.createdAt ?? now, room, payload: { kind: 'room_started' } };
}

export type RoomEventPayload =
  /** `reportedAt` is the event's own time, in whole seconds: a room that moved to another node starts again. */
  | { readonly kind: 'room_started'; readonly reportedAt?: Timestamp }
  | { readonly kind: 'room_finished' }
  | { readonly kind: 'participant_joined'; readonly participant: Participant }
  | { readonly kind: 'participant_left'; readonly participant: Participant; readonly reason: string }
  | {
      readonly kind: 'participant_connection_aborted';
      readonly participant: Participant;
      readonly reason: string;
    }
  | { readonly kind: 'audio_published'; readonly participantSid: string };

export interface Participant {
  readonly sid: string;
  readonly identity: string;
  readonly role: Role;
  /** Null unless the role is `phone`. */
  readonly phone: PhoneAttributes | null;
  readonly joinedAt: Timestamp | null;
}

/**
 * The role of a participant by LiveKit's own rules (IsAgent, IsRecorder, IsDependent).
 * Rules ignore the roles recorder and other. A participant with the role other can keep a room open.
 */
export type Role = 'agent' | 'person' | 'phone' | 'recorder' | 'other';

/** The `sip.*` attributes that rules and readers need. */
export interface PhoneAttributes {
  /** connector: WhatsApp or Twilio. Such a phone has no SIP attributes, and is answered when it joins. */
  readonly via: 'sip' | 'connector';
  readonly callStatus: string | null;
  readonly callTag: string | null;
  readonly callId: string | null;
  readonly phoneNumber: string | null;
  readonly trunkPhoneNumber: string | null;
  readonly trunkId: string | null;
  /** Set when a dispatch rule accepted the call: the call is inbound. */
  readonly ruleId: string | null;
}
