import { and, asc, count, eq, gt, inArray, isNotNull, lt, lte, ne, notExists, type SQL } from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { Timestamp } from '../../domain/time.ts';
import type { Retention } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { auditLog, calls, livekitEvents, roomDeletions } from './schema.ts';
import { writeTransaction } from './transaction.ts';

/** SQLite's default: a commit copies the -wal into the file once the -wal has this many pages. */
const CHECKPOINT_PAGES = 1_000;
const SHORT_CHECKPOINT_PAGES = 200;

/**
 * Runs work in a transaction of its own, with a short checkpoint. Deleted rows are spread over the file: copying 1,000 such pages blocks the store for
 * 30 ms, and 200 pages for 8 ms. Other writes share pages, so fewer and longer checkpoints are faster for them.
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
const isPrunable = (db: Database, before: Timestamp) =>
  and(
    isNotNull(calls.endedAt),
    lt(calls.endedAt, before),
    notExists(
      db
        .select({ callId: roomDeletions.callId })
        .from(roomDeletions)
        .where(and(eq(roomDeletions.callId, calls.id), ne(roomDeletions.state, 'completed'))),
    ),
  );

/** Deletes calls that ended before a time, those that ended first. Their audit events stay. */
export function pruneCalls(db: Database, { before, limit }: { before: Timestamp; limit: number }): number {
  const old = db
    .select({ id: calls.id })
    .from(calls)
    .where(isPrunable(db, before))
    .orderBy(asc(calls.endedAt))
    .limit(limit)
    .all();
  if (old.length === 0) return 0;
  const ids = old.map(({ id }) => id);
  db.delete(roomDeletions).where(inArray(roomDeletions.callId, ids)).run();
  return db.delete(calls).where(inArray(calls.id, ids)).run().changes;
}

export function pruneEvents(db: Database, { before, limit }: { before: Timestamp; limit: number }): number {
  const old = db
    .select({ id: livekitEvents.id })
    .from(livekitEvents)
    .where(lt(livekitEvents.receivedAt, before))
    .limit(limit);
  return db.delete(livekitEvents).where(inArray(livekitEvents.id, old)).run().changes;
}

/** Deletes the oldest entries. The first rows are the oldest, because ids increase with time, unless the clock was wrong. */
export function pruneAudit(
  db: Database,
  { before, now, limit }: { before: Timestamp; now: Timestamp; limit: number },
): number {
  const first = db
    .select({ id: auditLog.id, at: auditLog.at })
    .from(auditLog)
    .where(and(gt(auditLog.id, 0), lte(auditLog.at, now)))
    .orderBy(asc(auditLog.id))
    .limit(limit)
    .all();
  const last = first.findLast(({ at }) => at < before);
  if (last === undefined) return 0;
  return db
    .delete(auditLog)
    .where(and(lt(auditLog.id, last.id + 1), lt(auditLog.at, before)))
    .run().changes;
}

/** Counts the rows that pruning would delete. Reads complete tables: for an operator, not for a loop. */
export function countPrunable(
  db: Database,
  { callsBefore, auditBefore, eventsBefore }: Retention,
): { calls: number; audit: number; events: number } {
  const countRows = (table: SQLiteTable, condition: SQL | undefined) =>
    db.select({ n: count() }).from(table).where(condition).get()?.n ?? 0;
  return {
    calls: callsBefore === null ? 0 : countRows(calls, isPrunable(db, callsBefore)),
    audit: auditBefore === null ? 0 : countRows(auditLog, lt(auditLog.at, auditBefore)),
    events: countRows(livekitEvents, lt(livekitEvents.receivedAt, eventsBefore)),
  };
}
