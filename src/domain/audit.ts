import type { CallStatus } from './call-status.ts';
import type { CancellationCounts, CancellationState } from './cancellation.ts';
import type { DeletionState } from './room-deletion.ts';
import type { Timestamp } from './time.ts';

export const ACTIONS = [
  'call.created',
  'call.status_changed',
  'call.room_deletion',
  'call.room_deletion_reopened',
  'call.room_deletion_discarded',
  'call.room_rescued',
  'call.room_kept',
  'call.ended_in_error',
  'api_key.created',
  'api_key.revoked',
  'adoption.added',
  'adoption.removed',
  'cancellation.progress',
  'hold.lifted',
] as const;
export const ACTORS = ['api_key', 'operator', 'livekit', 'reconciler'] as const;

export type Action = (typeof ACTIONS)[number];

/** The actions of the event stream. */
export const STREAMED_ACTIONS = [
  'call.created',
  'call.status_changed',
  'call.room_deletion',
  'cancellation.progress',
  'hold.lifted',
] as const satisfies readonly Action[];
export type StreamedAction = (typeof STREAMED_ACTIONS)[number];

export type Actor = (typeof ACTORS)[number];

/** The facts of an event that have no column of their own, by its action. */
export type AuditDetails =
  /** call.room_deletion */
  | { readonly state: DeletionState; readonly attempt: number; readonly error: string | null }
  /** cancellation.progress */
  | { readonly state: CancellationState; readonly counts: CancellationCounts };

/** One entry of the audit log, which is append-only. */
export interface AuditEvent {
  readonly at: Timestamp;
  readonly organizationId: string;
  readonly action: Action;
  readonly actor: Actor;
  /** Id of the API key or of LiveKit's event. */
  readonly actorId: string | null;
  /** Id of the call, the API key or the cancellation, or the adoption prefix. */
  readonly subjectId: string;
  /** Null unless the event changes a call's status. */
  readonly fromStatus: CallStatus | null;
  readonly toStatus: CallStatus | null;
  readonly reason: string | null;
  /** The cancellation that caused the event, or that the event is about. */
  readonly cancellationId: string | null;
  readonly details: AuditDetails | null;
}

/** Returns the actor of a change of keys or prefixes. @param author the API key of the request; absent: an operator */
export function actorOf(author: { readonly id: string } | undefined): Pick<AuditEvent, 'actor' | 'actorId'> {
  return author === undefined
    ? { actor: 'operator', actorId: null }
    : { actor: 'api_key', actorId: author.id };
}

/** Actor and reason of a change. */
export type Cause = Pick<AuditEvent, 'actor' | 'actorId' | 'reason'>;
