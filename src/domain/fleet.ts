import type { Timestamp } from './time.ts';

/*
 * The fleet: the processes that share one database. A process is a member while its last heartbeat is valid. One member at a
 * time runs each pass, and all members share LiveKit's rate limit.
 */

/**
 * Background work that one member at a time does. `reconciliation` compares rooms, polls phones and reviews calls, because
 * these need the same facts about LiveKit's last outage.
 */
export const PASSES = ['reconciliation', 'pruning'] as const;
export type Pass = (typeof PASSES)[number];

/** A heartbeat is valid for this long. Another member takes over the passes of a dead one within this time and one request. */
export const HEARTBEAT_TTL_MS = 7_500;
/** SQLite's store decides a heartbeat with the time at which it was sent, and writes it up to this time later. */
const MAX_WRITE_DELAY_MS = 3_000;
const HEARTBEAT_INTERVAL_MS = HEARTBEAT_TTL_MS / 3;
const RETRY_INTERVAL_MS = 1_000;
/** While members divide the rate limit anew. */
const DIVIDING_INTERVAL_MS = 500;
/** A member without LiveKit keeps its passes for this long, because LiveKit is probably unreachable for all members. */
const OUTAGE_TOLERANCE_MS = 10_000;

export interface Member {
  readonly id: string;
  /** End of the last heartbeat's validity. */
  readonly expiresAt: Timestamp;
  /** The member uses at most this part of LiveKit's rate limit: 1 divided by this number. Null: no part yet. */
  readonly rateDivisor: number | null;
}

export interface PassLease {
  readonly pass: Pass;
  /** Id of the member that may run the pass; null: released. The lease ends with the membership of the holder. */
  readonly holder: string | null;
  /** Number of grants: a fencing token. */
  readonly fence: number;
}

/** The rows that a heartbeat decides from. */
export interface FleetSnapshot {
  readonly members: readonly Member[];
  /** A pass without a lease was never granted. */
  readonly leases: readonly PassLease[];
  readonly now: Timestamp;
}

export interface HeartbeatCommand {
  readonly memberId: string;
  /** The passes that the member is ready to run. It releases all others. */
  readonly wanted: readonly Pass[];
  /** The divisor in use, by the last heartbeat whose result the member received. */
  readonly rateDivisor: number | null;
}

/** The result of a heartbeat for the member that sent it. */
export interface Heartbeat {
  /** The passes that the member may run. */
  readonly passes: readonly Pick<PassLease, 'pass' | 'fence'>[];
  readonly rateDivisor: number | null;
  /** Number of members, this one included. */
  readonly members: number;
  /** Time until the earliest possible end of another member's lease of a wanted pass; null: no such lease. */
  readonly freeInMs: number | null;
}

export interface HeartbeatDecision {
  /** The row to write. */
  readonly member: Member;
  /** Ids of members whose heartbeats are not valid any more: rows to delete. */
  readonly expired: readonly string[];
  /** Changed rows to write. */
  readonly leases: readonly PassLease[];
  readonly heartbeat: Heartbeat;
}

/** Extends the membership of one member, grants it the free passes that it wants, and releases its other passes. */
export function onHeartbeat(
  { members, leases, now }: FleetSnapshot,
  { memberId, wanted, rateDivisor: sent }: HeartbeatCommand,
): HeartbeatDecision {
  // A member whose row is gone was found expired while this heartbeat waited: the others divided the rate without it.
  const inUse = members.some(({ id }) => id === memberId) ? sent : null;
  const others = members.filter(({ id }) => id !== memberId);
  const valid = others.filter((member) => isValid(member, now));
  const rateDivisor = divideRate(
    valid.map((member) => member.rateDivisor),
    inUse,
  );
  const after = PASSES.map((pass) => {
    const before = leases.find((lease) => lease.pass === pass) ?? { pass, holder: null, fence: 0 };
    return { before, lease: nextLease(before, { memberId, isWanted: wanted.includes(pass), valid }) };
  });
  const holders = after
    .filter(({ lease }) => wanted.includes(lease.pass) && lease.holder !== memberId)
    .flatMap(({ lease }) => valid.find(({ id }) => id === lease.holder) ?? []);
  return {
    member: {
      id: memberId,
      expiresAt: now + HEARTBEAT_TTL_MS,
      // The member uses its old part until it receives the result, which can be lost.
      rateDivisor: largerPart(rateDivisor, inUse),
    },
    expired: others.filter((member) => !valid.includes(member)).map(({ id }) => id),
    leases: after.filter(({ before, lease }) => lease !== before).map(({ lease }) => lease),
    heartbeat: {
      passes: after
        .filter(({ lease }) => lease.holder === memberId)
        .map(({ lease: { pass, fence } }) => ({ pass, fence })),
      rateDivisor,
      members: valid.length + 1,
      freeInMs: holders.length === 0 ? null : Math.min(...holders.map(({ expiresAt }) => expiresAt - now)),
    },
  };
}

/**
 * A heartbeat from the future is not valid: its clock was ahead, and a dead member would keep its passes. Another member can
 * have sent its heartbeat after this one, and written it before.
 */
function isValid({ expiresAt }: Member, now: Timestamp): boolean {
  return expiresAt > now && expiresAt <= now + HEARTBEAT_TTL_MS + MAX_WRITE_DELAY_MS;
}

function nextLease(
  lease: PassLease,
  { memberId, isWanted, valid }: { memberId: string; isWanted: boolean; valid: readonly Member[] },
): PassLease {
  const isOwn = lease.holder === memberId;
  if (!isWanted) return isOwn ? { ...lease, holder: null } : lease;
  if (isOwn || valid.some(({ id }) => id === lease.holder)) return lease;
  return { ...lease, holder: memberId, fence: lease.fence + 1 };
}

/**
 * Divides the rate by the number of members, unless the parts of all members together would exceed the rate: the other
 * members reduce their parts at their next heartbeats.
 * @param others divisors of the other members
 * @param inUse the present divisor, which remains if the new one does not fit
 */
function divideRate(others: readonly (number | null)[], inUse: number | null): number | null {
  const members = others.length + 1;
  const used = others.reduce<number>((sum, divisor) => sum + (divisor === null ? 0 : 1 / divisor), 0);
  return used + 1 / members <= 1 + Number.EPSILON * members ? members : inUse;
}

/** Returns the divisor of the larger part. */
function largerPart(first: number | null, second: number | null): number | null {
  if (first === null || second === null) return first ?? second;
  return Math.min(first, second);
}

/** The last successful heartbeat of this process. */
export interface Membership {
  /** When the process sent the heartbeat: earlier than the store received it. */
  readonly sentAt: Timestamp;
  readonly heartbeat: Heartbeat;
}

/**
 * Whether the heartbeat is valid. A process stops before the others take over, because it counts from the time of its
 * request. After its clock was set back, a process waits for its next heartbeat.
 */
export function isMember({ sentAt }: Membership, now: Timestamp): boolean {
  return now >= sentAt && now < sentAt + HEARTBEAT_TTL_MS;
}

/** Returns the fencing token of a pass that the process may run now; null: the process may not run the pass. */
export function heldFence(membership: Membership | null, pass: Pass, now: Timestamp): number | null {
  if (membership === null || !isMember(membership, now)) return null;
  return membership.heartbeat.passes.find((held) => held.pass === pass)?.fence ?? null;
}

/** Returns the part of LiveKit's rate limit that the process may use now, from 0 to 1. */
export function ratePart(membership: Membership | null, now: Timestamp): number {
  const divisor = divisorInUse(membership, now);
  return divisor === null ? 0 : 1 / divisor;
}

export function divisorInUse(membership: Membership | null, now: Timestamp): number | null {
  return membership !== null && isMember(membership, now) ? membership.heartbeat.rateDivisor : null;
}

/**
 * Returns the delay of the next heartbeat.
 * @param last null: the last heartbeat failed
 * @param sent the last command
 */
export function nextHeartbeatInMs(
  last: Heartbeat | null,
  sent: Pick<HeartbeatCommand, 'rateDivisor'>,
): number {
  if (last === null) return RETRY_INTERVAL_MS;
  const isDividing = last.rateDivisor === null || last.rateDivisor !== sent.rateDivisor;
  return Math.min(isDividing ? DIVIDING_INTERVAL_MS : HEARTBEAT_INTERVAL_MS, last.freeInMs ?? Infinity);
}

/** Returns the passes that a process is ready to run. @param unreachableSince null: LiveKit responds to this process */
export function wantedPasses(
  { isStopping, unreachableSince }: { isStopping: boolean; unreachableSince: Timestamp | null },
  now: Timestamp,
): readonly Pass[] {
  if (isStopping) return [];
  const isCutOff = unreachableSince !== null && now - unreachableSince > OUTAGE_TOLERANCE_MS;
  return PASSES.filter((pass) => pass !== 'reconciliation' || !isCutOff);
}
