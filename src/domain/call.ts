import { type CallStatus, type Direction, isLive } from './call-status.ts';
import { presentMembers, type Roster } from './roster.ts';
import type { Timestamp } from './time.ts';

/** A call on record, without LiveKit's present state of the room. */
export interface Call {
  readonly id: string;
  readonly organizationId: string;
  readonly status: CallStatus;
  readonly direction: Direction;
  readonly phoneNumber: string | null;
  readonly agentId: string | null;
  readonly agentName: string | null;
  readonly contactName: string | null;
  readonly contactPhone: string | null;
  readonly contactEmail: string | null;
  readonly roomName: string;
  /** LiveKit's sid of the room's latest session; null until the room is observed. */
  readonly roomId: string | null;
  /** Null until the room is observed. */
  readonly roster: Roster | null;
  /** When the roster of a live call has to be assessed again. */
  readonly reviewAt: Timestamp | null;
  /** The adoption prefix that made the room a call; null for a registered call. */
  readonly adoptedPrefix: string | null;
  readonly jobId: string | null;
  readonly sipParticipantId: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly failureReason: string | null;
  /** Id of the API key that cancelled the call; null unless an API key did. */
  readonly cancelledBy: string | null;
  readonly cancelReason: string | null;
  /** Id of the cancellation of many calls that cancelled this one; null for a cancel of this call alone. */
  readonly cancellationId: string | null;
  readonly scheduledAt: Timestamp | null;
  readonly startedAt: Timestamp | null;
  readonly answeredAt: Timestamp | null;
  /** Set when the call ends, and never changed afterwards. */
  readonly endedAt: Timestamp | null;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
}

/** Returns a call with defaults for all other fields. */
export function newCall(
  parts: Partial<Call> & Pick<Call, 'id' | 'organizationId' | 'roomName' | 'createdAt'>,
): Call {
  return {
    status: 'initiated',
    direction: 'outbound',
    phoneNumber: null,
    agentId: null,
    agentName: null,
    contactName: null,
    contactPhone: null,
    contactEmail: null,
    roomId: null,
    roster: null,
    reviewAt: null,
    adoptedPrefix: null,
    jobId: null,
    sipParticipantId: null,
    metadata: {},
    failureReason: null,
    cancelledBy: null,
    cancelReason: null,
    cancellationId: null,
    scheduledAt: null,
    startedAt: null,
    answeredAt: null,
    endedAt: null,
    updatedAt: parts.createdAt,
    ...parts,
  };
}

/** Returns a time after the room's newest call, even if the clock was set back: the newest call owns its room. */
export function nextCreatedAt(createdAt: Timestamp, newestInRoom: Pick<Call, 'createdAt'> | null): Timestamp {
  return newestInRoom === null ? createdAt : Math.max(createdAt, newestInRoom.createdAt + 1);
}

/** Returns a time between the last time on the call's record and now: clocks differ, and LiveKit's times are whole seconds. */
export function clampTime(
  { createdAt, startedAt, answeredAt }: Pick<Call, 'createdAt' | 'startedAt' | 'answeredAt'>,
  at: Timestamp,
  now: Timestamp,
): Timestamp {
  return Math.max(Math.min(at, now), createdAt, startedAt ?? 0, answeredAt ?? 0);
}

/** Whether the call is live with a phone in its room that is not answered: no webhook reports the answer. */
export function hasUnansweredPhone({ status, roster }: Pick<Call, 'status' | 'roster'>): boolean {
  if (!isLive(status) || roster === null) return false;
  return presentMembers(roster, 'phone').some(({ phone }) => phone?.answeredAt == null);
}

/** Returns whole seconds from the answer to the end; null for a live call and for a call without an observed answer. */
export function durationSeconds(call: Pick<Call, 'answeredAt' | 'endedAt'>): number | null {
  if (call.answeredAt === null || call.endedAt === null) return null;
  return Math.max(0, Math.round((call.endedAt - call.answeredAt) / 1000));
}
