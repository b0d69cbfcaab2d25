import type { ParticipantInfo, Room } from 'livekit-server-sdk';
import type { EventParticipant, EventRoom, Role } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import { kindOf } from './participant-kind.ts';

/** LiveKit's names are this long at most; what is longer was not made by it. */
export const MAX_ID_LENGTH = 256;

export function toRoom({ name, sid, creationTimeMs, creationTime, metadata }: Room): EventRoom {
  return { name, sid, createdAt: milliseconds(creationTimeMs, creationTime), metadata };
}

/** Whether a call may be in it, and its life can be told from another one. */
export function isOurRoom({ name, sid }: EventRoom): boolean {
  const isNameOurs = name !== '' && Buffer.byteLength(name) <= MAX_ID_LENGTH;
  return isNameOurs && sid !== '' && sid.length <= MAX_ID_LENGTH;
}

export function isNamed({ sid, identity }: ParticipantInfo): boolean {
  return sid !== '' && sid.length <= MAX_ID_LENGTH && identity.length <= MAX_ID_LENGTH;
}

export function toParticipant(info: ParticipantInfo): EventParticipant {
  const role = roleOf(info);
  const attribute = (name: string) => info.attributes[name]?.slice(0, MAX_ID_LENGTH) ?? null;
  return {
    sid: info.sid,
    identity: info.identity,
    role,
    joinedAt: milliseconds(info.joinedAtMs, info.joinedAt),
    phone:
      role === 'phone'
        ? {
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

function roleOf(info: ParticipantInfo): Role {
  switch (kindOf(info)) {
    case 'SIP':
      return 'phone';
    case 'AGENT':
      return 'agent';
    case 'EGRESS':
    case 'INGRESS':
      return 'other';
    default:
      return 'human';
  }
}

function milliseconds(fine: bigint, seconds: bigint): Timestamp | null {
  if (fine > 0n) return Number(fine);
  return seconds > 0n ? Number(seconds) * 1000 : null;
}
