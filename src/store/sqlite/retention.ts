import { and, asc, count, eq, gt, inArray, isNotNull, lt, lte, ne, notExists, sql } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import type { Retention } from '../../ports/store.ts';
import { CHECKPOINT_PAGES, type Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { auditLog, calls, livekitEvents, roomDeletions } from './schema.ts';
import { prepareRows, prepareRun, valuesOf } from './statement.ts';
import { writeTransaction } from './transaction.ts';

const { placeholder } = sql;

const SHORT_CHECKPOINT_PAGES = 200;

/**
 * Runs work in a transaction of its own, with a short checkpoint. Deleted rows are spread over the file: copying 200 such
 * pages blocks the store for 8 ms, and 1,000 pages for 30 ms. Other writes share pages, so fewer and longer checkpoints are
 * faster for them.
 */
export function withShortCheckpoints<T>(db: Database, work: () => T): T {
  const { $client: client } = db;
  client.pragma(`wal_autocheckpoint = ${SHORT_CHECKPOINT_PAGES}`);
  try {
    return writeTransaction(db, work);
  } finally {
    client.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  }
}

/** A call is kept until the deletion of its room is complete. */
const isPrunable = (db: Database) =>
  and(
    isNotNull(calls.endedAt),
    lt(calls.endedAt, placeholder('before')),
    notExists(
      db
        .select({ callId: roomDeletions.callId })
        .from(roomDeletions)
        .where(and(eq(roomDeletions.callId, calls.id), ne(roomDeletions.state, 'completed'))),
    ),
  );

const rowsBefore = { n: count().as('n') };

const statements = preparePerConnection((db) => ({
  oldCalls: prepareRows(
    db,
    db
      .select({ id: calls.id })
      .from(calls)
      .where(isPrunable(db))
      .orderBy(asc(calls.endedAt))
      .limit(placeholder('limit')),
  ),
  deleteDeletions: prepareRun(
    db,
    db.delete(roomDeletions).where(inArray(roomDeletions.callId, valuesOf('ids'))),
  ),
  deleteCalls: prepareRun(db, db.delete(calls).where(inArray(calls.id, valuesOf('ids')))),
  deleteEvents: prepareRun(
    db,
    db.delete(livekitEvents).where(
      inArray(
        livekitEvents.id,
        db
          .select({ id: livekitEvents.id })
          .from(livekitEvents)
          .where(lt(livekitEvents.receivedAt, placeholder('before')))
          .limit(placeholder('limit')),
      ),
    ),
  ),
  firstEntries: prepareRows(
    db,
    db
      .select({ id: auditLog.id, at: auditLog.at })
      .from(auditLog)
      .where(and(gt(auditLog.id, 0), lte(auditLog.at, placeholder('now'))))
      .orderBy(asc(auditLog.id))
      .limit(placeholder('limit')),
  ),
  deleteEntries: prepareRun(
    db,
    db
      .delete(auditLog)
      .where(and(lt(auditLog.id, placeholder('endId')), lt(auditLog.at, placeholder('before')))),
  ),
  countCalls: prepareRows(db, db.select(rowsBefore).from(calls).where(isPrunable(db))),
  countEntries: prepareRows(
    db,
    db
      .select(rowsBefore)
      .from(auditLog)
      .where(lt(auditLog.at, placeholder('before'))),
  ),
  countEvents: prepareRows(
    db,
    db
      .select(rowsBefore)
      .from(livekitEvents)
      .where(lt(livekitEvents.receivedAt, placeholder('before'))),
  ),
}));

/** Deletes calls that ended before a time, those that ended first. Their audit events stay. */
export function pruneCalls(db: Database, { before, limit }: { before: Timestamp; limit: number }): number {
  const old = statements(db).oldCalls.all({ before, limit });
  if (old.length === 0) return 0;
  const ids = JSON.stringify(old.map(({ id }) => id));
  statements(db).deleteDeletions.run({ ids });
  return statements(db).deleteCalls.run({ ids });
}

export function pruneEvents(db: Database, { before, limit }: { before: Timestamp; limit: number }): number {
  return statements(db).deleteEvents.run({ before, limit });
}

/** Deletes the oldest entries. The first rows are the oldest, because ids increase with time, unless the clock was wrong. */
export function pruneAudit(
  db: Database,
  { before, now, limit }: { before: Timestamp; now: Timestamp; limit: number },
): number {
  const first = statements(db).firstEntries.all({ now, limit });
  const last = first.findLast(({ at }) => at < before);
  if (last === undefined) return 0;
  return statements(db).deleteEntries.run({ endId: last.id + 1, before });
}

/** Counts the rows that pruning would delete. Reads complete tables: for an operator, not for a loop. */
export function countPrunable(
  db: Database,
  { callsBefore, auditBefore, eventsBefore }: Retention,
): { calls: number; audit: number; events: number } {
  const { countCalls, countEntries, countEvents } = statements(db);
  const countOf = (statement: typeof countCalls, before: Timestamp | null) =>
    before === null ? 0 : (statement.get({ before })?.n ?? 0);
  return {
    calls: countOf(countCalls, callsBefore),
    audit: countOf(countEntries, auditBefore),
    events: countOf(countEvents, eventsBefore),
  };
}
