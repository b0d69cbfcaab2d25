import type { ParticipantInfo, ParticipantPermission, Room } from 'livekit-server-sdk';
import type { Participant, Role, RoomRef } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import { kindOf } from './participant-kind.ts';

/** The longest name or id that LiveKit creates. */
export const MAX_ID_LENGTH = 256;

/** The fields of a message that hangup uses. */
export type RoomFields = Pick<Room, 'name' | 'sid' | 'creationTimeMs' | 'creationTime' | 'metadata'>;
export type ParticipantFields = Pick<
  ParticipantInfo,
  'sid' | 'identity' | 'kind' | 'joinedAtMs' | 'joinedAt' | 'attributes' | 'disconnectReason'
> & { permission?: Pick<ParticipantPermission, 'agent' | 'recorder' | 'hidden' | 'canPublish'> | undefined };

export function toRoom({ name, sid, creationTimeMs, creationTime, metadata }: RoomFields): RoomRef {
  return { name, sid, createdAt: toTimestamp(Number(creationTimeMs), Number(creationTime)), metadata };
}

/** Whether the room can belong to a call: it has a name, and a sid that identifies its session. */
export function isValidRoom({ name, sid }: RoomRef): boolean {
  const isNameValid = name !== '' && Buffer.byteLength(name) <= MAX_ID_LENGTH;
  return isNameValid && sid !== '' && sid.length <= MAX_ID_LENGTH;
}

/** Whether the participant has a sid, and no id over the limit. */
export function isValidParticipant({ sid, identity }: ParticipantFields): boolean {
  return sid !== '' && sid.length <= MAX_ID_LENGTH && identity.length <= MAX_ID_LENGTH;
}

/** Returns LiveKit's participant in hangup's terms. @param kind LiveKit's name, which may be newer than this version */
export function toParticipant(info: ParticipantFields, kind: string = kindOf(info)): Participant {
  const role = roleOf(info, kind);
  const attribute = (name: string) => info.attributes[name]?.slice(0, MAX_ID_LENGTH) ?? null;
  return {
    sid: info.sid,
    identity: info.identity,
    role,
    joinedAt: toTimestamp(Number(info.joinedAtMs), Number(info.joinedAt)),
    phone:
      role === 'phone'
        ? {
            via: kind === 'CONNECTOR' ? 'connector' : 'sip',
            callStatus: attribute('sip.callStatus'),
            callTag: attribute('sip.callTag'),
            callId: attribute('sip.callID'),
            phoneNumber: attribute('sip.phoneNumber'),
            trunkPhoneNumber: attribute('sip.trunkPhoneNumber'),
            trunkId: attribute('sip.trunkID'),
            ruleId: attribute('sip.ruleID'),
          }
        : null,
  };
}

/**
 * Returns the role by LiveKit's rules (IsAgent and IsRecorder in pkg/rtc/participant.go), not by the kind alone: a bot of
 * kind STANDARD with the grant `agent` is an agent. An unknown kind is `other`.
 */
function roleOf({ permission }: ParticipantFields, kind: string): Role {
  const isAgent = kind === 'AGENT' || (permission?.agent ?? false);
  // A hidden agent only listens, for example a transcriber.
  if (kind === 'EGRESS' || permission?.recorder || (isAgent && permission?.hidden)) return 'recorder';
  if (isAgent) return 'agent';
  if (permission?.hidden) return 'other';
  if (kind === 'SIP' || kind === 'CONNECTOR') return 'phone';
  // A participant without permissions in the response has LiveKit's default: it may publish.
  const isPerson = kind === 'STANDARD' && (permission?.canPublish ?? true);
  return isPerson ? 'person' : 'other';
}

/** Returns the time in milliseconds, from the seconds if LiveKit sends no milliseconds; null if both are 0. */
export function toTimestamp(ms: number, seconds: number): Timestamp | null {
  if (ms > 0) return ms;
  return seconds > 0 ? seconds * 1000 : null;
}
