import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, test, vi } from 'vitest';
import type { CallQuery } from '../../src/ports/store.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall } from '../harness/calls.ts';
import { temporaryFolder } from '../harness/temporary.ts';

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
      .filter((sql) => /^\s*(select|update|delete)\b/i.test(sql))
      .map((sql) => {
        const parameters = [...sql].filter((character) => character === '?').map(() => null);
        const steps = client
          .prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
          .all(...parameters)
          .map(({ detail }) => detail);
        return { sql, steps };
      });
  } finally {
    client.close();
  }
}

test('no query of a request, a webhook or a loop scans a table or sorts a page', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const base = {
    organizationId: 'o',
    sortBy: 'createdAt',
    sortOrder: 'desc',
    limit: 50,
    offset: 0,
  } as const;
  const after = { sort: 1, createdAt: 1, id: 'c' };
  const lists: Partial<CallQuery>[] = [
    {},
    { after },
    { from: 1, to: 2 },
    { agentId: 'a' },
    { agentId: 'a', from: 1, after },
    { phoneNumber: '+1' },
    { direction: 'inbound' },
    { statuses: ['active'] },
    { statuses: ['active', 'ringing', 'connecting'], after },
    { sortBy: 'scheduledAt' },
    { sortBy: 'scheduledAt', sortOrder: 'asc', after },
  ];
  const { organizationId, id: apiKeyId } = await store.createApiKey({
    id: 'k',
    organizationName: 'acme',
    organizationIdIfNew: 'o',
    name: 'test',
    hash: '0'.repeat(64),
    scopes: [],
    expiresAt: null,
    now: 1,
  });
  const idempotency = { key: 'k', fingerprint: 'f', ttlMs: 1 };
  const event = {
    id: 'EV',
    at: 1,
    room: { name: 'r', sid: 'RM', createdAt: 1, metadata: '' },
    payload: { kind: 'room_started' },
  } as const;
  const policy = { agentLeftGraceMs: 1, reconnectGraceMs: 1, recreatedRoomWindowMs: 1 };
  const statements = await statementsOf(async () => {
    for (const query of lists) await store.listCalls({ ...base, ...query });
    await store.findApiKey('x');
    await store.findCall('c');
    await store.findKeyAndCall({ keyHash: 'x', callId: 'c' });
    await store.listCallEvents({ callId: 'c', after: 0, limit: 10 });
    await store.changeCall({
      kind: 'register',
      call: buildCall({ id: 'c', organizationId: 'o' }),
      apiKeyId: 'k',
    });
    await store.changeCall({
      kind: 'cancel',
      callId: 'c',
      organizationId,
      apiKeyId,
      reason: null,
      leaseMs: 1,
      idempotency,
    });
    await store.claimDeletions({ leaseMs: 1, maxDelayMs: 2, limit: 1 });
    await store.nextDeletionAt();
    const adopted = { id: 'x', agentId: null };
    await store.changeCall({ kind: 'room_event', event, policy, adopted });
    const observed = { kind: 'observation', policy, adopted, leaseMs: null } as const;
    const room = { kind: 'room', room: event.room, requestedAt: 1 } as const;
    await store.changeCall({ ...observed, observation: room });
    await store.changeCall({ ...observed, observation: { kind: 'never_started', callId: 'c' } });
    await store.listReviews({ maxDelayMs: 1, limit: 10 });
    await store.findDeletionSubject('c');
    await store.listLiveRooms({ after: 'r', limit: 10 });
    await store.findLiveCalls(['r']);
    await store.findRosterVersion('c');
    await store.listKnownRooms(['r']);
    await store.listUnansweredPhones({ after: 'c', limit: 10 });
    await store.countOpenDeletions();
    await store.settleDeletion({
      callId: 'c',
      attempt: 1,
      settlement: { state: 'completed' },
      wasRescued: false,
      keptBecause: null,
    });
    await store.retryDeletion({ callId: 'c' });
    await store.pruneEvents({ before: 1, limit: 1 });
    await store.pruneCalls({ before: 1, limit: 1 });
    await store.pruneAudit({ before: 1, now: 1, limit: 1 });
    await store.pruneIdempotencyKeys({ before: 1, limit: 1 });
    await store.getWebhookActivity();
    await store.countLive();
  });
  store.close();
  const plans = plansOf(statements, file);
  expect(plans.length).toBeGreaterThan(25);
  const offences = plans.filter(({ steps }) =>
    steps.some((step, i) => {
      // Adoption prefixes are few, and json_each has the requested names. `top` and `capped` have at most a page of rows.
      const isSmall = steps.some((step) => step.includes('adoption_prefixes')) || steps[i - 1] === 'SCAN top';
      if (step.includes('TEMP B-TREE')) return !isSmall;
      return /^SCAN (?!adoption_prefixes|json_each|top|capped|\()/.test(step) && !/USING .*INDEX/.test(step);
    }),
  );
  expect(offences).toEqual([]);
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
}, 120_000);
