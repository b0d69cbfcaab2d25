import type { CallStatus } from './call-status.ts';
import type { Timestamp } from './time.ts';

export const ACTIONS = [
  'call.created',
  'call.status_changed',
  'call.room_deletion_reopened',
  'call.room_deletion_discarded',
  'call.room_rescued',
  'call.room_kept',
  'call.ended_in_error',
  'api_key.created',
  'api_key.revoked',
  'adoption.added',
  'adoption.removed',
] as const;
export const ACTORS = ['api_key', 'operator', 'livekit', 'reconciler'] as const;

export type Action = (typeof ACTIONS)[number];
export type Actor = (typeof ACTORS)[number];

/** One entry of the audit log, which is append-only. */
export interface AuditEvent {
  readonly at: Timestamp;
  readonly organizationId: string;
  readonly action: Action;
  readonly actor: Actor;
  /** Id of the API key or of LiveKit's event. */
  readonly actorId: string | null;
  /** Id of the call or the API key, or the adoption prefix. */
  readonly subjectId: string;
  /** Null unless the event changes a call's status. */
  readonly fromStatus: CallStatus | null;
  readonly toStatus: CallStatus | null;
  readonly reason: string | null;
}

/** Actor and reason of a change. */
export type Cause = Pick<AuditEvent, 'actor' | 'actorId' | 'reason'>;
