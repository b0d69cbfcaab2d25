import pg from 'pg';
import { LIVE_CALLS, LIVE_PREFIX } from './seed.ts';

const YEAR_MS = 365 * 86_400_000;

/**
 * Fills an empty Postgres database like `makeCalls` fills a file: a year of calls and the live calls after them, with a room
 * deletion for each cancelled call and an audit entry for each call. Drops the indexes first and creates them again at the
 * end. The user must be a superuser, because triggers and foreign keys are not checked meanwhile.
 */
export async function makePostgresCalls(
  { url, organizationId }: { url: string; organizationId: string },
  { calls, live = LIVE_CALLS, prefix = LIVE_PREFIX }: { calls: number; live?: number; prefix?: string },
): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(
      "SET session_replication_role = replica; SET synchronous_commit = off; SET maintenance_work_mem = '512MB'",
    );
    const { rows: indexes } = await client.query<{ name: string; sql: string }>(`
      SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS sql FROM pg_index
      WHERE indrelid IN ('calls'::regclass, 'audit_log'::regclass, 'room_deletions'::regclass) AND NOT indisprimary`);
    for (const { name } of indexes) await client.query(`DROP INDEX ${name}`);
    const now = Date.now();
    await insertEnded(client, {
      organizationId,
      count: calls - live,
      now,
      step: Math.floor(YEAR_MS / calls),
    });
    await insertLive(client, { organizationId, count: live, now, prefix });
    await client.query(`
      INSERT INTO scheduled_days (organization_id, day, first_created_at, last_created_at)
        SELECT organization_id, floor(scheduled_at / 86400000.0), min(created_at) / 3600000 * 3600000,
          max(created_at) / 3600000 * 3600000 + 3599999
        FROM calls WHERE scheduled_at IS NOT NULL GROUP BY 1, 2;
      INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, attempted_at, finalized_at, created_at)
        SELECT id, room_name, 'completed', 1, ended_at, ended_at, ended_at, ended_at FROM calls WHERE status = 'cancelled';
      INSERT INTO audit_log (id, at, organization_id, action, actor, subject_id, to_status)
        SELECT (SELECT last FROM audit_position) + row_number() OVER (ORDER BY created_at, id), created_at, organization_id,
          'call.created', 'operator', id, 'initiated' FROM calls;
      UPDATE audit_position SET last = (SELECT max(id) FROM audit_log)`);
    for (const { sql } of indexes) await client.query(sql);
    // Marks the rows as visible to all, as autovacuum does: otherwise index scans read each row.
    await client.query('VACUUM (ANALYZE)');
  } finally {
    await client.end();
  }
}

const COLUMNS = `id, organization_id, status, direction, phone_number, agent_id, agent_name, contact_name, room_name, room_id,
  metadata, scheduled_at, started_at, answered_at, ended_at, created_at, updated_at`;
/** Values of the number `i`, the same as in a file. */
const DIRECTION = "CASE WHEN i % 10 < 7 THEN 'outbound' ELSE 'inbound' END";
const PEOPLE = `'+1555' || lpad((i * 104729 % 1000000)::text, 7, '0'), 'agent_' || i * 7919 % 500, 'Reception', 'Ada Lovelace'`;

interface Insertion {
  readonly organizationId: string;
  readonly count: number;
  readonly now: number;
}

/** One call of five is scheduled, at most 30 days ahead. A multiplicative hash gives the statuses no order. */
async function insertEnded(
  client: pg.Client,
  { organizationId, count, now, step }: Insertion & { step: number },
): Promise<void> {
  await client.query(
    `INSERT INTO calls (${COLUMNS})
    SELECT id, $1, CASE WHEN percent < 70 THEN 'completed' WHEN percent < 80 THEN 'cancelled'
        WHEN percent < 90 THEN 'no_answer' WHEN percent < 95 THEN 'busy' ELSE 'failed' END,
      ${DIRECTION}, ${PEOPLE}, id, NULL, json_build_object('campaign', i % 100),
      CASE WHEN i % 5 = 0 THEN at + 1000 * (i * 7919 % 2592000) END, at, at, at + 60000, at, at + 60000
    FROM (SELECT i, 'ended_' || lpad(i::text, 8, '0') AS id, (i * 2654435761 >> 8) % 100 AS percent, $2::bigint + i * $3::bigint AS at
      FROM generate_series(0::bigint, $4::bigint - 1) AS i) AS numbers`,
    [organizationId, now - YEAR_MS, step, count],
  );
}

async function insertLive(
  client: pg.Client,
  { organizationId, count, now, prefix }: Insertion & { prefix: string },
): Promise<void> {
  await client.query(
    `INSERT INTO calls (${COLUMNS})
    SELECT id, $1, 'active', ${DIRECTION}, ${PEOPLE}, id, 'RM_' || lpad(i::text, 12, '0'),
      json_build_object('campaign', i % 100), NULL, at, at, NULL, at, at
    FROM (SELECT i, $2 || '_' || lpad(i::text, 8, '0') AS id, $3::bigint + i AS at
      FROM generate_series(0::bigint, $4::bigint - 1) AS i) AS numbers`,
    [organizationId, prefix, now, count],
  );
}
