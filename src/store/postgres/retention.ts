import type { Timestamp } from '../../domain/time.ts';
import type { Retention } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { lockRoom } from './locks.ts';
import { readTransaction } from './read-transaction.ts';
import { prepareSql, type Session } from './session.ts';
import { transaction } from './transaction.ts';

const COUNT_TIMEOUT_MS = 600_000;

/** A call is kept until the deletion of its room is complete. */
const isPrunable = (before: string) => `calls.ended_at IS NOT NULL AND calls.ended_at < ${before}
  AND NOT EXISTS (SELECT 1 FROM room_deletions WHERE room_deletions.call_id = calls.id AND room_deletions.state <> 'completed')`;

const oldCalls = prepareSql<{ id: string; roomName: string }>(`
  SELECT id, room_name AS "roomName" FROM calls WHERE ${isPrunable('$1')} ORDER BY ended_at LIMIT $2`);
const stillPrunable = prepareSql<{ id: string }>(
  `SELECT id FROM calls WHERE id = ANY($2::text[]) AND ${isPrunable('$1')}`,
);
const deleteDeletions = prepareSql('DELETE FROM room_deletions WHERE call_id = ANY($1::text[])');
const deleteCalls = prepareSql('DELETE FROM calls WHERE id = ANY($1::text[])');
/** The ids as an array: a join with a subquery can read the complete table. */
const deleteEvents = prepareSql(`
  DELETE FROM livekit_events
  WHERE id = ANY(ARRAY(SELECT id FROM livekit_events WHERE received_at < $1 ORDER BY received_at LIMIT $2))`);
const firstEntries = prepareSql<{ id: number; at: Timestamp }>(
  'SELECT id, at FROM audit_log WHERE id > 0 AND at <= $1 ORDER BY id LIMIT $2',
);
const deleteEntries = prepareSql('DELETE FROM audit_log WHERE id < $1 AND at < $2');

const countCalls = prepareSql<{ n: number }>(`SELECT count(*) AS n FROM calls WHERE ${isPrunable('$1')}`);
const countEntries = prepareSql<{ n: number }>('SELECT count(*) AS n FROM audit_log WHERE at < $1');
const countEvents = prepareSql<{ n: number }>(
  'SELECT count(*) AS n FROM livekit_events WHERE received_at < $1',
);

/** Deletes calls that ended before a time, those that ended first. Their audit events stay. */
export async function pruneCalls(
  db: Database,
  { before, limit }: { before: Timestamp; limit: number },
): Promise<number> {
  const old = await oldCalls.all(db, [before, limit]);
  if (old.length === 0) return 0;
  const locks = old.map(({ roomName }) => lockRoom(roomName));
  return transaction(
    db,
    async (tx) => {
      // Before the locks were granted, a change can have made a deletion due again.
      const rows = await stillPrunable.all(tx, [before, old.map(({ id }) => id)]);
      const ids = rows.map(({ id }) => id);
      const [, deleted] = await Promise.all([deleteDeletions.run(tx, [ids]), deleteCalls.run(tx, [ids])]);
      return deleted;
    },
    { locks },
  );
}

export function pruneEvents(
  session: Session,
  { before, limit }: { before: Timestamp; limit: number },
): Promise<number> {
  return deleteEvents.run(session, [before, limit]);
}

/** Deletes the oldest entries. The first rows are the oldest, because ids increase with time, unless the clock was wrong. */
export async function pruneAudit(
  session: Session,
  { before, now, limit }: { before: Timestamp; now: Timestamp; limit: number },
): Promise<number> {
  const first = await firstEntries.all(session, [now, limit]);
  const last = first.findLast(({ at }) => at < before);
  if (last === undefined) return 0;
  return deleteEntries.run(session, [last.id + 1, before]);
}

/** Counts the rows that pruning would delete. Reads complete tables: for an operator, not for a loop. */
export function countPrunable(
  db: Database,
  { callsBefore, auditBefore, eventsBefore }: Retention,
): Promise<{ calls: number; audit: number; events: number }> {
  const countOf = async (session: Session, statement: typeof countCalls, before: Timestamp | null) =>
    before === null ? 0 : ((await statement.get(session, [before]))?.n ?? 0);
  return readTransaction(
    db,
    async (session) => {
      const [calls, audit, events] = await Promise.all([
        countOf(session, countCalls, callsBefore),
        countOf(session, countEntries, auditBefore),
        countOf(session, countEvents, eventsBefore),
      ]);
      return { calls, audit, events };
    },
    { timeoutMs: COUNT_TIMEOUT_MS },
  );
}
