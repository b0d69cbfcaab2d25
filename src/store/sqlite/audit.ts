import { and, asc, eq, getTableColumns, gt, sql } from 'drizzle-orm';
import type { AuditEvent } from '../../domain/audit.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { AuditEntry, Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { auditLog } from './schema.ts';
import { columnsOf, placeholdersFor, prepareRows, prepareRun, text } from './statement.ts';

const { id: _, ...written } = getTableColumns(auditLog);

const isNoRoomDeletion = sql`${auditLog.action} <> 'call.room_deletion'`;

/** Reads the rows that the transaction has just written: the older call of a room can belong to another organization. */
const APPEND_DELETIONS = `
  INSERT INTO audit_log (at, organization_id, action, actor, subject_id, cancellation_id, details)
  SELECT @now, calls.organization_id, 'call.room_deletion', 'reconciler', deletions.call_id, deletions.cancellation_id,
    json_object('state', deletions.state, 'attempt', deletions.attempt,
      'error', iif(deletions.state IN ('retryable', 'discarded'), deletions.last_error, NULL))
  FROM json_each(@callIds) CROSS JOIN room_deletions AS deletions ON deletions.call_id = json_each.value
  CROSS JOIN calls ON calls.id = deletions.call_id`;

const statements = preparePerConnection((db) => ({
  append: prepareRun(db, db.insert(auditLog).values(placeholdersFor(written))),
  eventsOfSubject: prepareRows(
    db,
    db
      .select(columnsOf(auditLog, ['organizationId', 'subjectId']))
      .from(auditLog)
      .where(
        and(
          eq(auditLog.subjectId, text('subjectId')),
          gt(auditLog.id, sql.placeholder('after')),
          isNoRoomDeletion,
        ),
      )
      .orderBy(asc(auditLog.id))
      .limit(sql.placeholder('limit')),
    { json: ['details'] },
  ),
  appendDeletions:
    db.$client.prepare<[{ readonly callIds: string; readonly now: Timestamp }]>(APPEND_DELETIONS),
}));

/** Appends an event to the audit log, in the transaction of the connection. */
export function appendAudit(
  db: Database,
  event: Pick<AuditEvent, 'at' | 'organizationId' | 'action' | 'actor' | 'subjectId'> & Partial<AuditEvent>,
): void {
  const { details = null, ...columns } = event;
  statements(db).append.run({
    actorId: null,
    fromStatus: null,
    toStatus: null,
    reason: null,
    cancellationId: null,
    ...columns,
    details: details && JSON.stringify(details),
  });
}

/** Appends an event with the current state of the deletion of each call, in the transaction that wrote the deletions. */
export function appendDeletionEvents(db: Database, callIds: readonly string[], now: Timestamp): void {
  if (callIds.length > 0) statements(db).appendDeletions.run({ callIds: JSON.stringify(callIds), now });
}

/** Returns entries of the call's audit log without those of room deletions, which only the event stream has. */
export function listCallEvents(
  db: Database,
  { callId, after, limit }: Parameters<Store['listCallEvents']>[0],
): AuditEntry[] {
  return statements(db).eventsOfSubject.all({ subjectId: callId, after, limit });
}
