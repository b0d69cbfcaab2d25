import type { AuditEvent, Cause } from './audit.ts';
import type { Call } from './call.ts';
import { isLive } from './call-status.ts';
import { applyTransition, type Decision, type Transition } from './call-transition.ts';
import type { ActiveHold, RunningCancellation } from './hold.ts';
import type { RoomDeletion } from './room-deletion.ts';
import { leaseDeletion, scheduleDeletion } from './schedule-deletion.ts';
import type { Timestamp } from './time.ts';

/** The rows that a decision about a call needs, as one transaction reads them. */
export interface CallSnapshot {
  /** By the store's clock. */
  readonly now: Timestamp;
  /** The call of the selected id, or the newest call in the selected room. */
  readonly call: Call | null;
  readonly isNewestInRoom: boolean;
  /** The second newest call in the room; null when the call was selected by its id. */
  readonly previousCall: Call | null;
  readonly hasLiveCallInRoom: boolean;
  /** The deletion of the call's room. */
  readonly deletion: RoomDeletion | null;
  /** The incomplete deletion of the room name, which any call may have. A room name has at most one. */
  readonly incompleteDeletion: RoomDeletion | null;
  /** The longest prefix that makes the room a call; null when no prefix does. */
  readonly adoption: { readonly prefix: string; readonly organizationId: string } | null;
  /** Whether a call has the id of the call to register. */
  readonly isIdTaken: boolean;
  /** Whether LiveKit's event was applied before. */
  readonly isDuplicateEvent: boolean;
  /** The active holds of the organizations that the change may concern. */
  readonly holds: readonly ActiveHold[];
  /** The running cancellations by filter of the call's organization, while they still record calls. */
  readonly runningCancellations: readonly RunningCancellation[];
}

/** Parts of a snapshot that only some decisions need. Each costs the store a read. */
export type RelatedRow =
  | 'isNewestInRoom'
  | 'hasLiveCallInRoom'
  | 'deletion'
  | 'incompleteDeletion'
  | 'adoption'
  | 'holds'
  | 'runningCancellations';

/** A snapshot with only these related rows. */
export type SnapshotWith<Row extends RelatedRow> = Omit<CallSnapshot, Exclude<RelatedRow, Row>>;

/** Selects the rows of a {@link CallSnapshot}. */
export interface CallSelection {
  /** The related rows to load. The others are null or false in the snapshot. */
  readonly related: readonly RelatedRow[];
  readonly target: { readonly callId: string } | { readonly roomName: string };
  /** Id of the call to register. */
  readonly newCallId: string | null;
  /** LiveKit's id of the event to apply. */
  readonly eventId: string | null;
  /** The organization of the request; null: an event or an observation of LiveKit, or the reconciler. */
  readonly organizationId: string | null;
}

/** A call after a change, with the rows that are written in the same transaction. */
export interface CallChange {
  readonly call: Call;
  readonly isNew: boolean;
  /** Deletions after the change, in the order in which they are written. */
  readonly deletions: readonly RoomDeletion[];
  readonly events: readonly AuditEvent[];
}

/** The rows that the store writes in the transaction of the snapshot, and the result for the caller. */
export interface CallDecision<Result> {
  /** Two when a new call begins in the room of an ended one. */
  readonly changes: readonly CallChange[];
  /** Id of LiveKit's event, recorded so that a repeated delivery changes nothing. */
  readonly receivedEventId: string | null;
  /** Result to store under the request's Idempotency-Key, because the response is final; null: a retry runs again. */
  readonly outcome: unknown;
  readonly result: Result;
}

/** The result of an event or an observation that concerns a call. */
export interface AppliedChange {
  readonly kind: 'applied';
  readonly callId: string;
  readonly wasAdopted: boolean;
  readonly decision: Decision;
  /** Leased to the caller, if the caller requested a lease. */
  readonly deletion: RoomDeletion | null;
  /** The room of an ended call is listed; its participants decide. */
  readonly isListedAfterEnd: boolean;
  /** When the reconciler has work for the call. */
  readonly dueAt: Timestamp | null;
}

/** A decision that writes nothing. */
export function noChange<Result>(result: Result): CallDecision<Result> {
  return { changes: [], receivedEventId: null, outcome: null, result };
}

export function writesNothing({ changes, receivedEventId, outcome }: CallDecision<unknown>): boolean {
  return changes.length === 0 && receivedEventId === null && outcome === null;
}

/** Returns an audit event of a call. */
export function callEvent(
  call: Pick<Call, 'id' | 'organizationId'>,
  event: Cause &
    Pick<AuditEvent, 'at' | 'action'> &
    Partial<Pick<AuditEvent, 'fromStatus' | 'toStatus' | 'cancellationId'>>,
): AuditEvent {
  const { id: subjectId, organizationId } = call;
  const absent = { fromStatus: null, toStatus: null, cancellationId: null, details: null };
  return { subjectId, organizationId, ...absent, ...event };
}

/** Returns the rows that a transition writes, and its result. A null change: the record already has the transition. */
export function changeFromTransition(
  call: Call,
  transition: Transition,
  {
    cause,
    now,
    deletion,
    isRoomGone,
    leaseMs,
  }: {
    cause: Cause;
    now: Timestamp;
    /** The call's deletion on record. */
    deletion: RoomDeletion | null;
    /** True: an end needs no deletion. */
    isRoomGone: boolean;
    /** Not null: the deletion that an end schedules is leased to the caller for this long. */
    leaseMs: number | null;
  },
): { change: CallChange | null; result: AppliedChange } {
  const { decision } = transition;
  // LiveKit dates a recreated room by the first creation, which is before the end.
  const at = Math.max(transition.at, call.endedAt ?? 0);
  const isChanged =
    transition.roster !== call.roster ||
    transition.reviewAt !== call.reviewAt ||
    decision.kind === 'advance' ||
    decision.kind === 'end';
  const after = isChanged ? applyTransition(call, transition, now) : call;
  const deletions: RoomDeletion[] = [];
  const events: AuditEvent[] = [];
  let leased: RoomDeletion | null = null;
  let dueAt: Timestamp | null = null;
  if (after.status !== call.status) {
    const statuses = { fromStatus: call.status, toStatus: after.status };
    events.push(callEvent(call, { ...cause, ...statuses, at, action: 'call.status_changed' }));
  }
  switch (decision.kind) {
    case 'delete_room': {
      const { reason } = decision;
      deletions.push(scheduleDeletion(call, deletion, now));
      events.push(callEvent(call, { ...cause, at, action: 'call.room_deletion_reopened', reason }));
      dueAt = now;
      break;
    }
    case 'report_survival':
      events.push(callEvent(call, { ...cause, at, action: 'call.ended_in_error', reason: decision.reason }));
      break;
    case 'end':
      if (isRoomGone) break;
      if (leaseMs === null) {
        deletions.push(scheduleDeletion(call, deletion, now));
        dueAt = now;
      } else {
        leased = leaseDeletion(call, deletion, { now, leaseMs });
        deletions.push(leased);
      }
      break;
    default:
      // A review that is already on record needs no new wake-up.
      if (isLive(call.status) && transition.reviewAt !== call.reviewAt) dueAt = transition.reviewAt;
  }
  const isWritten = isChanged || deletions.length > 0 || events.length > 0;
  return {
    change: isWritten ? { call: after, isNew: false, deletions, events } : null,
    result: {
      kind: 'applied',
      callId: call.id,
      wasAdopted: false,
      decision,
      deletion: leased,
      isListedAfterEnd: false,
      dueAt,
    },
  };
}
