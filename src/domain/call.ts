import { present, type Roster } from './roster.ts';
import type { Timestamp } from './time.ts';

export const LIVE_STATUSES = ['initiated', 'connecting', 'ringing', 'active'] as const;
export const ENDED_STATUSES = ['completed', 'failed', 'cancelled', 'no_answer', 'busy'] as const;
export const CALL_STATUSES = [...LIVE_STATUSES, ...ENDED_STATUSES] as const;
export const DIRECTIONS = ['inbound', 'outbound'] as const;

export type LiveStatus = (typeof LIVE_STATUSES)[number];
export type EndedStatus = (typeof ENDED_STATUSES)[number];
export type CallStatus = LiveStatus | EndedStatus;
export type Direction = (typeof DIRECTIONS)[number];

/** A call as hangup keeps it. What LiveKit knows of it right now is not part of it. */
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
  /** LiveKit's sid of the room's present session, once seen. */
  readonly roomId: string | null;
  /** Null until the room is seen. */
  readonly roster: Roster | null;
  /** When the roster of a live call has to be assessed again. */
  readonly reviewAt: Timestamp | null;
  /** The prefix of the room's name that made it a call, when nobody registered it. */
  readonly adoptedPrefix: string | null;
  readonly jobId: string | null;
  readonly sipParticipantId: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly failureReason: string | null;
  /** Id of the API key that cancelled it; null when it was not cancelled by one. */
  readonly cancelledBy: string | null;
  readonly cancelReason: string | null;
  readonly scheduledAt: Timestamp | null;
  readonly startedAt: Timestamp | null;
  readonly answeredAt: Timestamp | null;
  /** Set exactly when the call ends; never changes after that. */
  readonly endedAt: Timestamp | null;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
}

/** A call of which no more is known than this. */
export function newCall(
  known: Partial<Call> & Pick<Call, 'id' | 'organizationId' | 'roomName' | 'createdAt'>,
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
    scheduledAt: null,
    startedAt: null,
    answeredAt: null,
    endedAt: null,
    updatedAt: known.createdAt,
    ...known,
  };
}

/**
 * What may follow a live status. Steps may be skipped (a webhook can be lost), never taken back:
 * no_answer and busy are ends of a call that nobody answered, so nothing active becomes one.
 */
const TRANSITIONS: Record<LiveStatus, readonly CallStatus[]> = {
  initiated: ['connecting', 'ringing', 'active', ...ENDED_STATUSES],
  connecting: ['ringing', 'active', ...ENDED_STATUSES],
  ringing: ['active', ...ENDED_STATUSES],
  active: ['completed', 'failed', 'cancelled'],
};

export function isLive(status: CallStatus): status is LiveStatus {
  return (LIVE_STATUSES as readonly CallStatus[]).includes(status);
}

/** Whether a call may go from one status straight to another. An ended call goes nowhere. */
export function canTransition(from: CallStatus, to: CallStatus): boolean {
  return isLive(from) && TRANSITIONS[from].includes(to);
}

/** Keeps createdAt increasing in a room, even if the clock steps back: the newest call owns its room. */
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
  return present(roster, 'phone').some(({ phone }) => phone?.answeredAt == null);
}

/** Whole seconds from answer to end; null while the call lives, and when the answer was never seen. */
export function durationSeconds(call: Pick<Call, 'answeredAt' | 'endedAt'>): number | null {
  if (call.answeredAt === null || call.endedAt === null) return null;
  return Math.max(0, Math.round((call.endedAt - call.answeredAt) / 1000));
}
