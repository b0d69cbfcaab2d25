import type { AuditEvent } from '../../domain/audit.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { AuditEntry, Store } from '../../ports/store.ts';
import { prepareSql, type Session } from './session.ts';

export type NewAuditEvent = Pick<AuditEvent, 'at' | 'organizationId' | 'action' | 'actor' | 'subjectId'> &
  Partial<AuditEvent>;

/** The row of the position stays locked until the commit, so that ids are without gaps and in the order of the commits. */
const append = prepareSql(`
  WITH position AS (UPDATE audit_position SET last = last + $1 WHERE id = 1 RETURNING last - $1 AS before)
  INSERT INTO audit_log (id, at, organization_id, action, actor, actor_id, subject_id, from_status, to_status, reason, cancellation_id, details)
  SELECT position.before + events.n, events.at, events.organization_id, events.action, events.actor, events.actor_id,
    events.subject_id, events.from_status, events.to_status, events.reason, events.cancellation_id, events.details
  FROM position CROSS JOIN unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::json[]) WITH ORDINALITY
    AS events (at, organization_id, action, actor, actor_id, subject_id, from_status, to_status, reason, cancellation_id, details, n)`);

/** Appends events to the audit log. The last statement of a transaction: other nodes wait from here until the commit. */
export async function appendEvents(session: Session, events: readonly NewAuditEvent[]): Promise<void> {
  if (events.length === 0) return;
  await append.run(session, [
    events.length,
    events.map(({ at }) => at),
    events.map(({ organizationId }) => organizationId),
    events.map(({ action }) => action),
    events.map(({ actor }) => actor),
    events.map(({ actorId = null }) => actorId),
    events.map(({ subjectId }) => subjectId),
    events.map(({ fromStatus = null }) => fromStatus),
    events.map(({ toStatus = null }) => toStatus),
    events.map(({ reason = null }) => reason),
    events.map(({ cancellationId = null }) => cancellationId),
    events.map(({ details = null }) => details && JSON.stringify(details)),
  ]);
}

/** Returns the event of a deletion's present state. */
export function deletionEvent(
  {
    callId,
    organizationId,
    cancellationId,
    state,
    attempt,
    lastError,
  }: Pick<RoomDeletion, 'callId' | 'cancellationId' | 'state' | 'attempt' | 'lastError'> & {
    readonly organizationId: string;
  },
  now: Timestamp,
): NewAuditEvent {
  const error = state === 'retryable' || state === 'discarded' ? lastError : null;
  return {
    at: now,
    organizationId,
    action: 'call.room_deletion',
    actor: 'reconciler',
    subjectId: callId,
    cancellationId,
    details: { state, attempt, error },
  };
}

const eventsOfSubject = prepareSql<AuditEntry>(`
  SELECT id, at, action, actor, actor_id AS "actorId", from_status AS "fromStatus", to_status AS "toStatus", reason,
    cancellation_id AS "cancellationId", details
  FROM audit_log WHERE subject_id = $1 AND id > $2 AND action <> 'call.room_deletion' ORDER BY id LIMIT $3`);

/** Returns entries of the call's audit log without those of room deletions, which only the event stream has. */
export function listCallEvents(
  session: Session,
  { callId, after, limit }: Parameters<Store['listCallEvents']>[0],
): Promise<AuditEntry[]> {
  return eventsOfSubject.all(session, [callId, after, limit]);
}
