import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, test, vi } from 'vitest';
import type { Store } from '../../src/ports/store.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { NO_CANCELLATIONS } from '../doctor/facts.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { callEveryMethod } from './every-method.ts';

/** Returns every statement that the store prepares during the work. */
async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
  const prepare = vi.spyOn(SqliteDatabase.prototype, 'prepare');
  try {
    await work();
    return prepare.mock.calls.map(([sql]) => sql);
  } finally {
    prepare.mockRestore();
  }
}

function plansOf(statements: readonly string[], file: string): { sql: string; steps: string[] }[] {
  const client = new SqliteDatabase(file);
  try {
    return statements
      .filter((sql) => /^\s*(select|update|delete|insert)\b/i.test(sql))
      .map((sql) => {
        const names = [...sql.matchAll(/@(\w+)/g)].map(([, name = '']) => [name, null]);
        const parameters = [...sql].filter((character) => character === '?').map(() => null);
        const steps = client
          .prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
          .all(...(names.length > 0 ? [Object.fromEntries(names)] : parameters))
          .map(({ detail }) => detail);
        return { sql, steps };
      });
  } finally {
    client.close();
  }
}

/** Fills the tables like a server of some weeks, so that ANALYZE returns the proportions of a large database. */
function fillTables(file: string): void {
  const client = new SqliteDatabase(file);
  client.pragma('foreign_keys = OFF');
  const numbers = (count: number) =>
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
  client.exec(`
    ${numbers(30_000)} INSERT INTO calls (id, organization_id, status, direction, phone_number, agent_id, room_name, metadata,
      scheduled_at, created_at, updated_at, ended_at, review_at, has_unanswered_phone)
    SELECT 'call' || i, 'o' || (i % 3), iif(i > 29900, 'active', iif(i % 5 = 0, 'cancelled', 'completed')),
      iif(i % 3 = 0, 'inbound', 'outbound'), '+' || (i % 9000), 'agent' || (i * 7919 % 50), 'room' || i, '{}',
      iif(i % 4 = 0, i + 5, NULL), i, i, iif(i > 29900, NULL, i), iif(i > 29900, i, NULL), i > 29990 FROM n;
    INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, attempted_at, finalized_at, created_at)
    SELECT id, room_name, iif(rowid > 29000, 'retryable', 'completed'), 1, created_at, created_at,
      iif(rowid > 29000, NULL, created_at), created_at FROM calls WHERE status = 'cancelled';
    INSERT INTO audit_log (at, organization_id, action, actor, subject_id)
    SELECT created_at, organization_id, 'call.created', 'operator', id FROM calls;
    ${numbers(30_000)} INSERT INTO livekit_events (id, received_at) SELECT 'EV_' || i, i FROM n;
    ${numbers(3_000)} INSERT INTO idempotency_keys (organization_id, key, fingerprint, created_at)
    SELECT 'o1', 'key' || i, 'f', i FROM n;
    ANALYZE`);
  client.close();
}

/** Patterns of a step and its statement, each with the reason for which the step is short or rare. */
const EXCEPTIONS: readonly [pattern: RegExp, reason: string][] = [
  [/^SCAN (CONSTANT ROW|\(subquery-\d+\)):/, 'rows of other steps'],
  [/^SCAN json_each /, 'the requested names'],
  [/^SCAN calls USING INDEX calls_live_room_name:/, 'the index has live calls only'],
  [
    /^SCAN room_deletions USING INDEX room_deletions_(due|due_of_cancellations|due_of_others|incomplete_\w+):/,
    'no completed deletion',
  ],
  [
    /^SCAN cancellations USING COVERING INDEX cancellations_(running|with_active_hold):/,
    'unfinished ones only',
  ],
  [/^(SCAN agents|USE TEMP B-TREE FOR (GROUP|ORDER) BY):\s+SELECT agent_id AS id/, 'live calls in an index'],
  [
    /^USE TEMP B-TREE FOR GROUP BY:\s+SELECT organization_id AS organizationId/,
    'open deletions, or events of 10 s',
  ],
  [/^SCAN (USING|api_keys|organizations|livekit_servers|adoption_prefixes)\b/, 'an operator made each row'],
  [/^SCAN (fleet_members|pass_leases):/, 'a row for each process or pass'],
  [/^USE TEMP B-TREE .* from "(livekit_servers|adoption_prefixes|api_keys)"/, 'an operator made each row'],
  [/^SCAN livekit_events: select "id" from "livekit_events" limit \?( \+ 0)?$/, 'one row'],
  [/^SCAN (__drizzle_migrations|sqlite_schema|sqlite_sequence):/, 'a row for each migration or table'],
  [/^SCAN audit_log: select count\(\*\) .*from "audit_log"/, 'hangup prune --dry-run'],
  [/^SCAN cancellations USING INDEX cancellations_running:/, 'the index has running cancellations only'],
  [
    /^SCAN (calls|cancellations): insert into "api_keys"/,
    'foreign keys, only after a violation in the same statement',
  ],
  [/^USE TEMP B-TREE FOR ORDER BY: SELECT .* INDEXED BY calls_by_(phone|cancellation) /, 'few calls'],
];

test('no query of the store reads a complete table or sorts rows, except the listed ones', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const called = new Set<string>();
  const recorded: Store = new Proxy(store, {
    get(target, name: keyof Store) {
      called.add(name);
      return target[name];
    },
  });
  const statements = await statementsOf(() => callEveryMethod(recorded));
  store.close();
  const large = join(temporaryFolder(), 'large.db');
  openSqliteStore(large).close();
  fillTables(large);
  const plans = plansOf([...new Set(statements)], large);
  const methods = Object.keys(store).filter((name) => name !== 'close');
  expect(methods.filter((name) => !called.has(name))).toEqual([]);
  expect(plans.length).toBeGreaterThan(500);
  const used = new Set<RegExp>();
  const offences = plans.flatMap(({ sql, steps }) =>
    steps
      .filter((step) => step.startsWith('SCAN') || step.includes('TEMP B-TREE'))
      .map((step) => `${step}: ${sql}`)
      .filter((offence) => {
        const exception = EXCEPTIONS.find(([pattern]) => pattern.test(offence));
        if (exception !== undefined) used.add(exception[0]);
        return exception === undefined;
      }),
  );
  expect(offences).toEqual([]);
  expect(EXCEPTIONS.map(([step]) => step).filter((step) => !used.has(step))).toEqual([]);
});

test('queries for live calls and open deletions read no ended call among 200,000', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  openSqliteStore(file).close();
  const client = new SqliteDatabase(file);
  client.pragma('foreign_keys = OFF');
  const fill = (count: number, id: string, status: string, endedAt: string) =>
    client.exec(`
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
      INSERT INTO calls (id, organization_id, status, direction, room_name, metadata, created_at, updated_at, ended_at)
      SELECT '${id}' || i, 'o', '${status}', 'outbound', '${id}' || i, '{}', i, i, ${endedAt} FROM n`);
  fill(200_000, 'ended', 'completed', 'i');
  fill(3, 'live', 'ringing', 'NULL');
  client.exec(`
    INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, attempted_at, finalized_at, created_at)
    SELECT id, room_name, 'completed', 1, created_at, created_at, created_at, created_at
    FROM calls WHERE status = 'completed'`);
  const expected = {
    liveCalls: { initiated: 0, connecting: 0, ringing: 3, active: 0 },
    openDeletions: { available: 0, running: 0, retryable: 0, discarded: 0 },
    oldestOpenDeletionAt: null,
    cancellations: NO_CANCELLATIONS,
  };
  // SQLite plans without statistics before an ANALYZE, and with statistics after it.
  for (const statistics of ['', 'ANALYZE']) {
    client.exec(statistics);
    const store = openSqliteStore(file);
    const plans = async (work: () => Promise<unknown>) =>
      plansOf(await statementsOf(work), file).flatMap(({ steps }) => steps);
    expect(await plans(async () => expect(await store.countLive()).toEqual(expected))).toEqual([
      'SCAN calls USING INDEX calls_live_room_name',
      'SCAN room_deletions USING INDEX room_deletions_incomplete_room_name',
      'SCAN cancellations USING COVERING INDEX cancellations_running',
      'SCAN cancellations USING COVERING INDEX cancellations_with_active_hold',
    ]);
    // Each of these statements is prepared once for each connection.
    const steps = await plans(async () => {
      await store.listLiveRooms({ after: '', limit: 9 });
      await store.findLiveCalls(['live1']);
      await store.listUnansweredPhones({ after: '', limit: 9 });
      await store.listReviews({ maxDelayMs: 1, limit: 9 });
    });
    expect(steps).toContain('SEARCH calls USING INDEX calls_live_room_name (room_name>?)');
    expect(steps).toContain('SEARCH calls USING INDEX calls_live_room_name (room_name=?)');
    expect(steps).toContain('SEARCH calls USING COVERING INDEX calls_by_room (room_name=?)');
    expect(steps).toContain('SEARCH calls USING INDEX calls_with_unanswered_phone (id>?)');
    expect(steps).toContain('SEARCH calls USING INDEX calls_by_review (review_at>?)');
    expect(steps.filter((step) => step.startsWith('SCAN calls'))).toEqual([]);
    expect(await plans(() => store.getWebhookActivity())).toEqual([
      expect.stringMatching(/^SCAN livekit_events USING COVERING INDEX/),
      'SEARCH calls USING INDEX calls_live_room_name (room_name>?)',
    ]);
    store.close();
  }
  client.close();
});
