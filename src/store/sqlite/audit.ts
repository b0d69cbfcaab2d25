import { and, asc, eq, getTableColumns, gt, sql } from 'drizzle-orm';
import type { AuditEvent } from '../../domain/audit.ts';
import type { AuditEntry, Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { auditLog } from './schema.ts';
import { columnsOf, placeholdersFor, prepareRows, prepareRun, text } from './statement.ts';

const { id: _, ...written } = getTableColumns(auditLog);

const statements = preparePerConnection((db) => ({
  append: prepareRun(db, db.insert(auditLog).values(placeholdersFor(written))),
  eventsOfSubject: prepareRows(
    db,
    db
      .select(columnsOf(auditLog, ['organizationId', 'subjectId']))
      .from(auditLog)
      .where(and(eq(auditLog.subjectId, text('subjectId')), gt(auditLog.id, sql.placeholder('after'))))
      .orderBy(asc(auditLog.id))
      .limit(sql.placeholder('limit')),
    { json: ['details'] },
  ),
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

export function listCallEvents(
  db: Database,
  { callId, after, limit }: Parameters<Store['listCallEvents']>[0],
): AuditEntry[] {
  return statements(db).eventsOfSubject.all({ subjectId: callId, after, limit });
}
