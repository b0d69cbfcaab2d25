import type { Role } from './room-event.ts';
import type { Timestamp } from './time.ts';

const SHOWN_ROLES = ['agent', 'person', 'phone'] as const satisfies readonly Role[];
export type ParticipantRole = (typeof SHOWN_ROLES)[number];

/** A participant for display. Recorders and other services are left out. */
export interface RoomParticipant {
  readonly identity: string;
  readonly role: ParticipantRole;
  readonly joinedAt: Timestamp;
}

/** The end of the year 9999, the last year with four digits. */
const MAX_TIME = 253_402_300_799_999;

/**
 * Returns the participants who are present in a stored roster, in the order of their arrival. Another version or an
 * operator can have written the roster: parts of another shape are left out.
 */
export function presentParticipants(roster: unknown): RoomParticipant[] {
  if (!isObject(roster) || !Array.isArray(roster.members)) return [];
  return roster.members.flatMap(toParticipant).sort((a, b) => a.joinedAt - b.joinedAt);
}

function toParticipant(member: unknown): RoomParticipant[] {
  if (!isObject(member) || !isAbsent(member.departure)) return [];
  const { identity, joinedAt, noticedAt } = member;
  const role = SHOWN_ROLES.find((shown) => shown === member.role);
  const at = isTime(joinedAt) ? joinedAt : noticedAt;
  return typeof identity === 'string' && role !== undefined && isTime(at)
    ? [{ identity, role, joinedAt: at }]
    : [];
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
const isAbsent = (value: unknown) => value === null || value === undefined;
const isTime = (value: unknown): value is Timestamp =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_TIME;
