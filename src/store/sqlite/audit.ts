import { and, asc, eq, gt, sql } from 'drizzle-orm';
import type { AuditEvent } from '../../domain/audit.ts';
import type { AuditEntry, Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { auditLog } from './schema.ts';

const { placeholder } = sql;

const statements = preparePerConnection((db) => ({
  append: db
    .insert(auditLog)
    .values({
      at: placeholder('at'),
      organizationId: placeholder('organizationId'),
      action: placeholder('action'),
      actor: placeholder('actor'),
      actorId: placeholder('actorId'),
      subjectId: placeholder('subjectId'),
      fromStatus: placeholder('fromStatus'),
      toStatus: placeholder('toStatus'),
      reason: placeholder('reason'),
    })
    .prepare(),
}));

/** Appends an event to the audit log, in the transaction of the connection. */
export function appendAudit(
  db: Database,
  event: Pick<AuditEvent, 'at' | 'organizationId' | 'action' | 'actor' | 'subjectId'> & Partial<AuditEvent>,
): void {
  statements(db).append.run({ actorId: null, fromStatus: null, toStatus: null, reason: null, ...event });
}

export function listCallEvents(
  db: Database,
  { callId, after, limit }: Parameters<Store['listCallEvents']>[0],
): AuditEntry[] {
  const { id, at, action, actor, actorId, fromStatus, toStatus, reason } = auditLog;
  return db
    .select({ id, at, action, actor, actorId, fromStatus, toStatus, reason })
    .from(auditLog)
    .where(and(eq(auditLog.subjectId, callId), gt(auditLog.id, after)))
    .orderBy(asc(auditLog.id))
    .limit(limit)
    .all();
}
