import type { Direction, LiveStatus } from './call-status.ts';
import type { Timestamp } from './time.ts';

/** running: calls are being recorded as cancelled, or rooms still have to be deleted. */
export const CANCELLATION_STATES = ['running', 'completed'] as const;
export type CancellationState = (typeof CANCELLATION_STATES)[number];

export const HOLD_STATES = ['active', 'lifted'] as const;

/** Calls that have all of these values. At least one is set. */
export interface CallFilter {
  readonly agentId?: string | undefined;
  readonly status?: readonly LiveStatus[] | undefined;
  readonly direction?: Direction | undefined;
  readonly phoneNumber?: string | undefined;
  /** On createdAt, both inclusive. */
  readonly from?: Timestamp | undefined;
  readonly to?: Timestamp | undefined;
}

/** Selects live calls of one organization. */
export type CancellationSelector =
  | { readonly filter: CallFilter }
  /** Distinct ids. */
  | { readonly callIds: readonly string[] }
  | { readonly all: true };

/** "Cancelled on record" and "room gone" are two facts: `cancelled` counts calls, `rooms` counts their rooms. */
export interface CancellationCounts {
  readonly cancelled: number;
  /** Of the selected ids: calls that ended before. */
  readonly alreadyEnded: number;
  /** Of the selected ids: ids without a call in the organization. */
  readonly notFound: number;
  readonly rooms: {
    readonly deleted: number;
    /** Deletions that are not final. */
    readonly pending: number;
    /** Rooms whose deletion was given up: they may still exist. */
    readonly discarded: number;
  };
}

/** Refuses and cancels calls that start to match after the cancellation. */
export interface Hold {
  readonly state: (typeof HOLD_STATES)[number];
  readonly liftedAt: Timestamp | null;
  /** Id of the API key. */
  readonly liftedBy: string | null;
}

/** One request to cancel all matching calls of an organization: an emergency stop. */
export interface Cancellation {
  readonly id: string;
  readonly organizationId: string;
  readonly state: CancellationState;
  readonly reason: string;
  /** Id of the API key. */
  readonly createdBy: string;
  readonly createdAt: Timestamp;
  readonly completedAt: Timestamp | null;
  readonly selector: CancellationSelector;
  /** Null: without a hold. */
  readonly hold: Hold | null;
  readonly counts: CancellationCounts;
}

/** A request for a cancellation, before anything is recorded. */
export type NewCancellation = Pick<
  Cancellation,
  'id' | 'organizationId' | 'reason' | 'createdBy' | 'selector'
> & { readonly hasHold: boolean };

export const NO_COUNTS: CancellationCounts = {
  cancelled: 0,
  alreadyEnded: 0,
  notFound: 0,
  rooms: { deleted: 0, pending: 0, discarded: 0 },
};

/**
 * The statuses of the calls that each phase records: calls that were never dialled come first, because no person waits. A
 * status only moves forward, so no call is missed between two phases.
 */
export const PHASES: readonly (readonly LiveStatus[])[] = [
  ['initiated', 'connecting'],
  ['ringing'],
  ['active'],
];
/** The phase after all selected calls were recorded. */
export const RECORDED = PHASES.length;

/** For this long a running cancellation without a hold also cancels calls that start to match. */
const MATCHING_MS = 5 * 60_000;
const PROGRESS_INTERVAL_MS = 1_000;

/** Whether a running cancellation still has to look for matching calls. A lifted hold lets new calls start. */
export function isMatching(
  {
    phase,
    createdAt,
    holdState,
  }: {
    readonly phase: number;
    readonly createdAt: Timestamp;
    readonly holdState: Hold['state'] | null;
  },
  now: Timestamp,
): boolean {
  return phase < RECORDED || (holdState !== 'lifted' && now - createdAt < MATCHING_MS);
}

/** Returns the state of a cancellation by its counts. A room whose deletion was discarded does not delay the completion. */
export function stateOf(
  { rooms }: CancellationCounts,
  { isRecorded }: { isRecorded: boolean },
): CancellationState {
  return isRecorded && rooms.pending === 0 ? 'completed' : 'running';
}

/** Whether new counts would be reported while calls still wait to be recorded. */
export function isProgressIntervalOver(
  { reportedAt }: { readonly reportedAt: Timestamp },
  now: Timestamp,
): boolean {
  // The absolute difference: after the clock was set back, progress is still reported.
  return Math.abs(now - reportedAt) >= PROGRESS_INTERVAL_MS;
}

/** Whether a progress event is due: for the first record of all calls, for the completion, and once a second for new counts. */
export function isProgressDue(
  before: {
    readonly phase: number;
    readonly reportedCounts: CancellationCounts;
    readonly reportedAt: Timestamp;
  },
  after: { readonly phase: number; readonly state: CancellationState; readonly counts: CancellationCounts },
  now: Timestamp,
): boolean {
  if (after.state === 'completed' || (after.phase === RECORDED && before.phase < RECORDED)) return true;
  if (!isProgressIntervalOver(before, now)) return false;
  return JSON.stringify(after.counts) !== JSON.stringify(before.reportedCounts);
}
