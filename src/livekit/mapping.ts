import type { ParticipantInfo, Room } from 'livekit-server-sdk';
import type { Participant, Role, RoomRef } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import { kindOf } from './participant-kind.ts';

/** LiveKit's names are this long at most; what is longer was not made by it. */
export const MAX_ID_LENGTH = 256;

export function toRoom({ name, sid, creationTimeMs, creationTime, metadata }: Room): RoomRef {
  return { name, sid, createdAt: milliseconds(creationTimeMs, creationTime), metadata };
}

/** Whether a call may be in it, and its life can be told from another one. */
export function isOurRoom({ name, sid }: RoomRef): boolean {
  const isNameOurs = name !== '' && Buffer.byteLength(name) <= MAX_ID_LENGTH;
  return isNameOurs && sid !== '' && sid.length <= MAX_ID_LENGTH;
}

export function isNamed({ sid, identity }: ParticipantInfo): boolean {
  return sid !== '' && sid.length <= MAX_ID_LENGTH && identity.length <= MAX_ID_LENGTH;
}

/** @param kind LiveKit's own word, which may be newer than this version */
export function toParticipant(info: ParticipantInfo, kind: string = kindOf(info)): Participant {
  const role = roleOf(info, kind);
  const attribute = (name: string) => info.attributes[name]?.slice(0, MAX_ID_LENGTH) ?? null;
  return {
    sid: info.sid,
    identity: info.identity,
    role,
    joinedAt: milliseconds(info.joinedAtMs, info.joinedAt),
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
 * By LiveKit's own rules (IsAgent and IsRecorder in pkg/rtc/participant.go), not by the kind alone: a bot of kind
 * STANDARD with the grant `agent` is an agent. A kind that this version does not know counts for nothing.
 */
function roleOf({ permission }: ParticipantInfo, kind: string): Role {
  const isAgent = kind === 'AGENT' || (permission?.agent ?? false);
  // A hidden agent listens, such as a transcriber: nobody talks to it.
  if (kind === 'EGRESS' || permission?.recorder || (isAgent && permission?.hidden)) return 'recorder';
  if (isAgent) return 'agent';
  if (permission?.hidden) return 'other';
  if (kind === 'SIP' || kind === 'CONNECTOR') return 'phone';
  // Without permission in the answer, LiveKit's default: may publish.
  const isPerson = kind === 'STANDARD' && (permission?.canPublish ?? true);
  return isPerson ? 'person' : 'other';
}

function milliseconds(fine: bigint, seconds: bigint): Timestamp | null {
  if (fine > 0n) return Number(fine);
  return seconds > 0n ? Number(seconds) * 1000 : null;
}
