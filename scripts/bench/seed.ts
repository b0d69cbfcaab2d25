import type SqliteDatabase from 'better-sqlite3';
import { type Database, withDatabase } from './hangup.ts';

export const MANY_CALLS = 5_000_000;
export const LIVE_CALLS = 10_000;
export const LIVE_PREFIX = 'live';
/** The goal for the time that making them takes. */
export const SECONDS_TO_MAKE = 300;

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;

/** An SQL expression of the id that `callId` returns for the number `i`. */
const idOf = (prefix: string) => `'${prefix}_' || printf('%08d', i)`;
const numbers = (count: number) =>
  `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count - 1})`;

/** Adds calls that are registered, whose rooms LiveKit has not started. */
export function seedInitiatedCalls(database: Database, prefix: string, count: number): void {
  const now = Date.now();
  insertCalls(database, prefix, count, { status: `'initiated'`, createdAt: `${now - count} + i` });
}

/** Adds live calls with a room each, named and numbered like the rooms of the LiveKit stub. */
export function seedActiveCalls(database: Database, prefix: string, count: number): void {
  const now = Date.now();
  const at = `${now - count} + i`;
  const roomId = `'RM_' || printf('%012d', i)`;
  insertCalls(database, prefix, count, { status: `'active'`, createdAt: at, startedAt: at, roomId });
}

/** Adds ended calls, as a busy week leaves them. */
export function seedEndedCalls(database: Database, prefix: string, count: number): void {
  const createdAt = `${Date.now() - 7 * DAY_MS} + i`;
  const status = `'completed'`;
  const times = { createdAt, startedAt: createdAt, endedAt: `${createdAt} + 60000` };
  insertCalls(database, prefix, count, { status, ...times });
}

/** Adds calls that ended a year ago, each with its room deletion, two audit entries and two event ids. */
export function seedOldCalls(database: Database, prefix: string, count: number): void {
  const createdAt = `${Date.now() - YEAR_MS} + i`;
  const times = { createdAt, startedAt: createdAt, endedAt: createdAt };
  insertCalls(database, prefix, count, { status: `'cancelled'`, ...times });
  withDatabase(database.file, (db) =>
    db.exec(`
      INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, attempted_at, finalized_at, created_at)
        SELECT id, room_name, 'completed', 1, ended_at, ended_at, ended_at, ended_at FROM calls;
      INSERT INTO audit_log (at, organization_id, action, actor, subject_id, from_status, to_status)
        SELECT created_at, organization_id, 'call.status_changed', 'livekit', id, 'ringing', 'active'
        FROM calls, (VALUES (1), (2));
      INSERT INTO livekit_events (id, received_at)
        SELECT 'EV_' || lower(hex(randomblob(8))), created_at FROM calls, (VALUES (1), (2))`),
  );
}

/** Adds cancelled calls whose room deletions are due. */
export function seedDueDeletions(database: Database, prefix: string, count: number): void {
  const at = Date.now() - 60_000;
  insertCalls(database, prefix, count, { status: `'cancelled'`, createdAt: `${at}`, endedAt: `${at}` });
  withDatabase(database.file, (db) =>
    db.exec(`
      INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, created_at)
      ${numbers(count)} SELECT ${idOf(prefix)}, ${idOf(prefix)}, 'available', 0, ${at}, ${at} FROM n`),
  );
}

/** Values as SQL expressions of the number `i`. */
interface CallColumns {
  readonly status: string;
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly roomId?: string;
  readonly scheduledAt?: string;
}

function insertCalls(database: Database, prefix: string, count: number, columns: CallColumns): void {
  withDatabase(database.file, (db) => {
    db.pragma('synchronous = OFF');
    insertInto(db, database.organizationId, { prefix, count, columns });
    db.pragma('wal_checkpoint(TRUNCATE)');
  });
}

function insertInto(
  db: SqliteDatabase.Database,
  organizationId: string,
  { prefix, count, columns }: { prefix: string; count: number; columns: CallColumns },
): void {
  const { status, createdAt, endedAt = 'NULL' } = columns;
  const { startedAt = 'NULL', roomId = 'NULL', scheduledAt = 'NULL' } = columns;
  const id = idOf(prefix);
  db.exec(`
    INSERT INTO calls (id, organization_id, status, direction, phone_number, agent_id, agent_name, contact_name,
      room_name, room_id, metadata, scheduled_at, started_at, answered_at, ended_at, created_at, updated_at)
    ${numbers(count)}
    SELECT ${id}, '${organizationId}', ${status}, iif(i % 10 < 7, 'outbound', 'inbound'),
      '+1555' || printf('%07d', i * 104729 % 1000000), 'agent_' || (i * 7919 % 500), 'Reception', 'Ada Lovelace',
      ${id}, ${roomId}, json_object('campaign', i % 100), ${scheduledAt}, ${startedAt}, ${startedAt}, ${endedAt},
      ${createdAt}, ${endedAt === 'NULL' ? createdAt : endedAt} FROM n`);
}

/**
 * Fills a new database with a year of calls and the live calls after them, with a room deletion for each cancelled call
 * and an audit entry for each call. Drops the indexes first and creates them again at the end.
 */
export function makeCalls(
  { file, organizationId }: Database,
  { calls, live, prefix }: { calls: number; live: number; prefix: string },
): void {
  const ended = calls - live;
  const now = Date.now();
  const createdAt = `${now - YEAR_MS} + i * ${Math.floor(YEAR_MS / calls)}`;
  // A multiplicative hash, so that the statuses are in no order.
  const percent = '(i * 2654435761 >> 8) % 100';
  const status = `CASE WHEN ${percent} < 70 THEN 'completed' WHEN ${percent} < 80 THEN 'cancelled'
    WHEN ${percent} < 90 THEN 'no_answer' WHEN ${percent} < 95 THEN 'busy' ELSE 'failed' END`;
  const times = { createdAt, startedAt: createdAt, endedAt: `${createdAt} + 60000` };
  // One call of five is scheduled, at most 30 days ahead.
  const scheduledAt = `iif(i % 5 = 0, ${createdAt} + 1000 * (i * 7919 % 2592000), NULL)`;
  withDatabase(file, (db) => {
    for (const pragma of ['synchronous = OFF', 'journal_mode = OFF', 'locking_mode = EXCLUSIVE'])
      db.pragma(pragma);
    db.pragma('cache_size = -1000000');
    db.pragma('foreign_keys = OFF');
    const indexes = db
      .prepare<[], { name: string; sql: string }>(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
      )
      .all();
    for (const { name } of indexes) db.exec(`DROP INDEX "${name}"`);
    insertInto(db, organizationId, {
      prefix: 'ended',
      count: ended,
      columns: { status, ...times, scheduledAt },
    });
    const columns = { status: `'active'`, createdAt: `${now} + i`, startedAt: `${now} + i` };
    const roomId = `'RM_' || printf('%012d', i)`;
    insertInto(db, organizationId, { prefix, count: live, columns: { ...columns, roomId } });
    db.exec(`
      INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, attempted_at, finalized_at, created_at)
        SELECT id, room_name, 'completed', 1, ended_at, ended_at, ended_at, ended_at FROM calls WHERE status = 'cancelled';
      INSERT INTO audit_log (at, organization_id, action, actor, subject_id, to_status)
        SELECT created_at, organization_id, 'call.created', 'operator', id, 'initiated' FROM calls`);
    for (const { sql } of indexes) db.exec(sql);
  });
}
