import { and, asc, eq, gt } from 'drizzle-orm';
import type { AuditEntry, Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { auditLog } from './schema.ts';

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
