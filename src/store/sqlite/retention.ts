import { and, asc, count, eq, gt, inArray, isNotNull, lt, lte, ne, notExists } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import type { Retention } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { auditLog, calls, livekitEvents, roomDeletions } from './schema.ts';

/** SQLite's own number: pages in the -wal from which a commit copies them into the file. */
const CHECKPOINT_PAGES = 1_000;
const SHORT_CHECKPOINT_PAGES = 200;

/**
 * Rows that are deleted lie all over the file: copying 1,000 such pages holds the store for 30 ms, and 200 for 8. Other
 * writes share pages, so for them fewer and longer checkpoints are quicker on the whole.
 */
export function withShortCheckpoints<T>({ $client: client }: Database, work: () => T): T {
  client.pragma(`wal_autocheckpoint = ${SHORT_CHECKPOINT_PAGES}`);
  try {
    return work();
  } finally {
    client.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  }
}

/** A call is kept while its room is not known to be gone. */
const isForgettable = (db: Pick<Database, 'select'>, before: Timestamp) =>
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

/** Deletes calls that ended before a moment, the first of them first; what is audited of them stays. */
export function pruneCalls(db: Database, { before, limit }: { before: Timestamp; limit: number }): number {
  return db.transaction(
    (tx) => {
      const old = tx
        .select({ id: calls.id })
        .from(calls)
        .where(isForgettable(tx, before))
        .orderBy(asc(calls.endedAt))
        .limit(limit)
        .all();
      if (old.length === 0) return 0;
      const ids = old.map(({ id }) => id);
      tx.delete(roomDeletions).where(inArray(roomDeletions.callId, ids)).run();
      return tx.delete(calls).where(inArray(calls.id, ids)).run().changes;
    },
    { behavior: 'immediate' },
  );
}

/** Ids rise with time, so the oldest rows are the first, and no others are looked at but those of a clock that was ahead. */
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

/** What pruning would delete now. Reads whole tables: for an operator, not for a pass. */
export function countPrunable(
  db: Database,
  { callsBefore, auditBefore, eventsBefore }: Retention,
): { calls: number; audit: number; events: number } {
  const of = (found: { n: number } | undefined) => found?.n ?? 0;
  const n = { n: count() };
  return {
    calls:
      callsBefore === null ? 0 : of(db.select(n).from(calls).where(isForgettable(db, callsBefore)).get()),
    audit:
      auditBefore === null ? 0 : of(db.select(n).from(auditLog).where(lt(auditLog.at, auditBefore)).get()),
    events: of(db.select(n).from(livekitEvents).where(lt(livekitEvents.receivedAt, eventsBefore)).get()),
  };
}
