import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Participant } from '../../src/domain/room-event.ts';
import { newRoster, versionOf } from '../../src/domain/roster.ts';
import { recordJoin as joinRoster, recordLeave } from '../../src/domain/roster-changes.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { manualClock } from '../harness/manual-clock.ts';
import { runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const MIGRATIONS = resolve(import.meta.dirname, '../../drizzle');
/** For each earlier schema, the dump of a database with rows in every table. */
const FIXTURES = resolve(import.meta.dirname, 'fixtures');

/** The roster replaced these tables and the column `room_life`. */
const REPLACED_TABLES = ['__drizzle_migrations', 'graces'];

const schemas = sqlNamesIn(FIXTURES);
const [newest = '', ...older] = schemas.toReversed();

function sqlNamesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .toSorted();
}

/** Returns a database with the schema and the rows of a fixture. */
function createDatabase(fixture: string) {
  const cwd = temporaryFolder();
  const file = join(cwd, 'hangup.db');
  change(file, readFileSync(join(FIXTURES, fixture), 'utf8'));
  const run = (args: string) =>
    runHangup(args.split(' '), { cwd, env: { DATABASE_URL: 'file:hangup.db', PORT: '0' } });
  return { cwd, file, run };
}

function change(file: string, sql: string): void {
  const client = new SqliteDatabase(file);
  // The tables of a dump are not ordered by their references.
  client.pragma('foreign_keys = OFF');
  client.exec(sql);
  client.close();
}

/** Returns the schema, the rows and the foreign key violations. */
function contentsOf(file: string) {
  const client = new SqliteDatabase(file, { readonly: true });
  const read = (sql: string) => client.prepare<[], Record<string, unknown>>(sql).all();
  const schema = read("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name");
  const tables = read("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
  const rows = tables.map(({ name }) => ({
    name,
    rows: read(`SELECT * FROM "${String(name)}" ORDER BY 1, 2`),
  }));
  const violations = client.pragma('foreign_key_check');
  client.close();
  return { schema, rows, violations };
}

/** Returns the values of a row that every later schema keeps. */
function keptOf({ room_life: _, scheduled_order: __, refused_status: ___, ...row }: Record<string, unknown>) {
  const { scopes, ...others } = row;
  // A key with all scopes gets the new scope.
  return scopes === undefined
    ? row
    : { ...others, scopes: expect.stringContaining(String(scopes).slice(1, -1)) };
}

test('every schema has a database fixture', () => {
  expect(schemas).toEqual(sqlNamesIn(MIGRATIONS));
});

test.each(schemas)('%s migrates to the newest schema without losing a row', async (fixture) => {
  const { file, run } = createDatabase(fixture);
  const before = contentsOf(file);
  expect(await run('migrate --check')).toMatchObject({ code: fixture === newest ? 0 : 1 });
  expect(contentsOf(file)).toEqual(before);
  const lacks = schemas.slice(schemas.indexOf(fixture) + 1).map((name) => name.replace('.sql', ''));
  const progress = lacks.length === 0 ? '' : `hangup: migrating hangup.db: ${lacks.join(', ')}\n`;
  expect(await run('migrate')).toMatchObject({ code: 0, stderr: progress });
  expect(await run('migrate --check')).toMatchObject({ code: 0 });

  const after = contentsOf(file);
  expect(after.schema).toEqual(contentsOf(createDatabase(newest).file).schema);
  expect(after.violations).toEqual([]);
  for (const { name, rows } of before.rows.filter(({ name }) => !REPLACED_TABLES.includes(String(name)))) {
    const now = after.rows.find((table) => table.name === name)?.rows;
    expect(now, String(name)).toEqual(rows.map((row) => expect.objectContaining(keptOf(row))));
  }

  const store = openSqliteStore(file, { clock: manualClock(10_000) });
  expect((await store.findCall('lives'))?.call).toMatchObject({ status: 'active', metadata: { ticket: 7 } });
  expect(await store.findCall('cancelled')).toMatchObject({
    call: { status: 'cancelled', cancelledBy: 'key_1', cancelReason: "it's wrong" },
    deletion: { state: 'retryable', attempt: 3 },
  });
  const due = await store.claimDeletions({ leaseMs: 10_000, maxDelayMs: 60_000, limit: 10 });
  expect(due.map(({ callId }) => callId)).toEqual(['cancelled']);
  store.close();
});

test('0010_cancellations adds calls:stop to keys with all scopes, and keeps the responses under Idempotency-Keys', async () => {
  const { file, run } = createDatabase('0009_cheap_constraints.sql');
  change(
    file,
    `INSERT INTO api_keys (id, organization_id, name, hash, scopes, created_at) VALUES
      ('all', 'org_1', 'all', '${'c'.repeat(64)}', '["calls:cancel","calls:read","calls:write"]', 1),
      ('some', 'org_1', 'some', '${'d'.repeat(64)}', '["calls:read","calls:cancel"]', 1);
    INSERT INTO idempotency_keys (organization_id, key, fingerprint, refused_status, created_at) VALUES
      ('org_1', 'accepted', '["cancel","cancelled",null]', NULL, 9000),
      ('org_1', 'refused', '["cancel","lives",null]', 'busy', 9000)`,
  );
  expect(await run('migrate')).toMatchObject({ code: 0 });
  const store = openSqliteStore(file, { clock: manualClock(10_000) });
  onTestFinished(() => store.close());
  const scopes = async (digit: string) => (await store.findApiKey(digit.repeat(64)))?.scopes;
  expect(await scopes('c')).toEqual(['calls:read', 'calls:write', 'calls:cancel', 'calls:stop']);
  expect(await scopes('d')).toEqual(['calls:read', 'calls:cancel']);
  const cancel = async (callId: string, key: string) =>
    store.changeCall({
      kind: 'cancel',
      callId,
      organizationId: 'org_1',
      apiKeyId: 'key_1',
      reason: null,
      leaseMs: 1_000,
      idempotency: { key, fingerprint: JSON.stringify(['cancel', callId, null]), ttlMs: 60_000 },
    });
  expect(await cancel('cancelled', 'accepted')).toMatchObject({
    isReplay: true,
    result: { kind: 'cancelled' },
  });
  expect(await cancel('lives', 'refused')).toMatchObject({
    isReplay: true,
    result: { kind: 'not_live', status: 'busy' },
  });
});

test('a cancel that repeats an Idempotency-Key of version 0.2.0 gets the first response', async () => {
  const { cwd, file } = createDatabase('0009_cheap_constraints.sql');
  const apiKey = `hangup_live_${'a'.repeat(43)}`;
  // A database with demo calls only, which hangup serves without a LiveKit.
  change(file, "UPDATE organizations SET name = 'demo'; DELETE FROM livekit_servers");
  const client = new SqliteDatabase(file);
  client.prepare("UPDATE api_keys SET hash = ? WHERE id = 'key_1'").run(hash('sha256', apiKey));
  const insert = client.prepare(
    'INSERT INTO idempotency_keys (organization_id, key, fingerprint, refused_status, created_at) VALUES (?, ?, ?, ?, ?)',
  );
  const now = Date.now();
  // As version 0.2.0 stored them.
  insert.run('org_1', 'done', JSON.stringify(['cancel', 'pruned', 'why']), null, now);
  insert.run('org_1', 'refused', JSON.stringify(['cancel', 'pruned', null]), 'no_answer', now);
  insert.run('org_1', '"quoted"', JSON.stringify(['cancel', 'pruned', null]), null, now);
  insert.run('org_1', '"both"', JSON.stringify(['cancel', 'pruned', 'quoted']), null, now);
  insert.run('org_1', 'both', JSON.stringify(['cancel', 'pruned', null]), null, now);
  client.close();
  const { url } = await serveHangup({ env: { DATABASE_URL: 'file:hangup.db' }, cwd });
  const cancel = async (key: string, query = '') => {
    const response = await fetch(`${url}/api/v1/calls/pruned${query}`, {
      method: 'DELETE',
      headers: { 'x-api-key': apiKey, 'idempotency-key': key },
    });
    return {
      status: response.status,
      isReplay: response.headers.get('idempotent-replayed') === 'true',
      body: (await response.json()) as unknown,
    };
  };
  const done = {
    status: 200,
    isReplay: true,
    body: { data: { id: 'pruned', status: 'cancelled' }, message: 'Call cancelled successfully' },
  };
  expect(await cancel('done', '?reason=why')).toEqual(done);
  expect(await cancel('"done"', '?reason=why')).toEqual(done);
  expect(await cancel('done')).toMatchObject({ status: 422 });
  expect(await cancel('refused')).toEqual({
    status: 400,
    isReplay: true,
    body: { error: { message: 'Cannot cancel call with status: no_answer', code: 400 } },
  });
  // A key in quotes was stored with its quotes.
  expect(await cancel('"quoted"')).toEqual(done);
  expect(await cancel('both')).toEqual(done);
});

describe('0007_roster keeps the participants of calls', () => {
  const POLICY = { agentLeftGraceMs: 30_000, reconnectGraceMs: 25_000, recreatedRoomWindowMs: 86_400_000 };
  const HOUR_MS = 3_600_000;
  const NOW = Date.now();
  const outbound = {
    sid: 'PA_phone',
    callStatus: 'active',
    callTag: 'tag',
    callId: 'SCL_1',
    phoneNumber: '+15557770001',
    trunkPhoneNumber: '+15550001',
    trunkId: 'ST_1',
    ruleId: null,
    disconnectReason: null,
  };
  const isHere = (role: string, parts: object = {}) => ({
    sid: `PA_${role}`,
    identity: role,
    role,
    isPresent: true,
    joinedAt: NOW - 60_000,
    ...parts,
  });
  const PHONE = isHere('phone');
  const AGENT = isHere('agent');
  const HAS_LEFT = { isPresent: false };

  interface OldCall {
    readonly status: string;
    readonly participants: readonly object[];
    readonly phone?: object | null;
    readonly audioFrom?: readonly string[];
    readonly endedAt?: number;
    readonly grace?: { readonly kind: string; readonly role: string; readonly reason: string };
  }

  /** Migrates a database of the previous schema with one call. */
  async function upgradeCall({
    status,
    participants,
    phone = null,
    audioFrom = [],
    endedAt,
    grace,
  }: OldCall) {
    const { file, run } = createDatabase('0006_last_served.sql');
    const client = new SqliteDatabase(file);
    const life = { sid: 'RM_1', createdAt: NOW - 90_000, participants, audioFrom, phone };
    client
      .prepare(
        `INSERT INTO calls (id, organization_id, status, direction, room_name, room_id, metadata, started_at, answered_at,
          ended_at, created_at, updated_at, room_life)
        VALUES ('call', 'org_1', ?, 'outbound', 'room', 'RM_1', '{}', ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        status,
        NOW - 90_000,
        status === 'active' ? NOW - 50_000 : null,
        endedAt ?? null,
        Math.min(NOW - 100_000, endedAt ?? NOW),
        NOW - 10_000,
        JSON.stringify(life),
      );
    if (grace !== undefined) {
      client
        .prepare(
          `INSERT INTO graces (call_id, kind, role, since, due_at, reason) VALUES ('call', ?, ?, ?, ?, ?)`,
        )
        .run(grace.kind, grace.role, NOW - 10_000, NOW + 20_000, grace.reason);
    }
    client.close();
    expect(await run('migrate')).toMatchObject({ code: 0 });
    const clock = manualClock();
    const store = openSqliteStore(file, { clock });
    onTestFinished(() => store.close());
    const found = await store.findCall('call');
    if (found === null) throw new Error('call not found');
    /** Applies LiveKit's list of participants. */
    const list = async (participants: readonly Participant[], now: number) => {
      const version = versionOf((await store.findCall('call'))?.call.roster ?? null);
      clock.set(now);
      const { result } = await store.changeCall({
        kind: 'observation',
        observation: {
          kind: 'participants',
          callId: 'call',
          participants,
          requestedAt: now,
          version,
          isTrusted: true,
        },
        policy: POLICY,
        adopted: null,
        leaseMs: null,
      });
      return result;
    };
    const due = async (now: number) => {
      clock.set(now);
      return (await store.listReviews({ maxDelayMs: HOUR_MS, limit: 9 })).due.map(({ callId }) => callId);
    };
    return { call: found.call, store, list, due };
  }

  const phoneListed: Participant = {
    sid: 'PA_phone',
    identity: 'phone',
    role: 'phone',
    joinedAt: NOW - 60_000,
    phone: {
      via: 'sip',
      callStatus: 'active',
      callTag: 'tag',
      callId: 'SCL_1',
      phoneNumber: '+15557770001',
      trunkPhoneNumber: '+15550001',
      trunkId: 'ST_1',
      ruleId: null,
    },
  };
  const DEPARTURE = {
    sid: 'PA_phone',
    at: NOW,
    noticedAt: NOW,
    reason: 'CLIENT_INITIATED',
    isReported: true,
    isAborted: false,
  };
  const agentLeft = { kind: 'agent_left', role: 'agent', reason: 'SIGNAL_CLOSE' };

  test('a phone without an agent is reviewed at once, and its call ends after the grace period', async () => {
    const { call, due, list, store } = await upgradeCall({
      status: 'active',
      participants: [PHONE, { ...AGENT, ...HAS_LEFT }],
      phone: outbound,
      audioFrom: [],
      grace: agentLeft,
    });
    expect(call.reviewAt).toBe(NOW - 10_000);
    // Exactly the fields that the domain reads.
    const fields = (record: object) => new Set(Object.keys(record));
    const [member] = joinRoster(newRoster({ sid: 'RM_1', createdAt: NOW }, NOW), phoneListed, {
      noticedAt: NOW,
    }).members;
    expect(fields(call.roster ?? {})).toEqual(fields(newRoster({ sid: 'RM_1', createdAt: NOW }, NOW)));
    expect(fields(call.roster?.members[0] ?? {})).toEqual(fields(member ?? {}));
    expect(fields(call.roster?.members[0]?.phone ?? {})).toEqual(fields(member?.phone ?? {}));
    expect(fields(call.roster?.members[1]?.departure ?? {})).toEqual(
      fields(
        recordLeave(newRoster({ sid: 'RM_1', createdAt: NOW }, NOW), phoneListed, DEPARTURE).members[0]
          ?.departure ?? {},
      ),
    );
    expect(call.roster).toMatchObject({
      sid: 'RM_1',
      createdAt: NOW - 90_000,
      isFinished: false,
      hadCompany: true,
      answeredPhones: 1,
      departures: 1,
      lastLeaveNoticedAt: NOW - 10_000,
      firstPhone: {
        sid: 'PA_phone',
        joinedAt: NOW - 60_000,
        phoneNumber: '+15557770001',
        direction: 'outbound',
      },
      lastAgentLeft: { sid: 'PA_agent', at: NOW - 10_000, reason: 'SIGNAL_CLOSE' },
      lastPhoneLeft: null,
    });
    expect(call.roster?.members).toMatchObject([
      {
        sid: 'PA_phone',
        role: 'phone',
        departure: null,
        phone: { callId: 'SCL_1', answeredAt: NOW - 50_000 },
      },
      { sid: 'PA_agent', role: 'agent', phone: null, departure: { at: NOW - 10_000, isReported: true } },
    ]);
    expect(await due(NOW)).toEqual(['call']);
    expect(await list([phoneListed], NOW)).toMatchObject({ decision: { kind: 'nothing' } });
    expect((await store.findCall('call'))?.call.reviewAt).toBe(NOW + 20_000);
    expect(await list([phoneListed], NOW + 20_000)).toMatchObject({
      decision: { kind: 'end', status: 'completed', failureReason: 'AGENT_LEFT' },
    });
  });

  test('an unanswered phone stays polled, and its call does not end', async () => {
    const { call, store, list } = await upgradeCall({
      status: 'ringing',
      participants: [PHONE, AGENT],
      phone: { ...outbound, callStatus: 'ringing', callTag: null },
    });
    expect(call.roster).toMatchObject({ answeredPhones: 0 });
    expect(call.roster?.members[0]?.phone).toMatchObject({ hasRung: true, answeredAt: null });
    const unanswered = await store.listUnansweredPhones({ after: '', limit: 9 });
    expect(unanswered.map(({ callId }) => callId)).toEqual(['call']);
    expect(await list([phoneListed], NOW)).toMatchObject({ decision: { kind: 'advance', to: 'active' } });
    expect(await store.listUnansweredPhones({ after: '', limit: 9 })).toEqual([]);
  });

  test('an answered inbound phone stays answered, without a review', async () => {
    const { call, store } = await upgradeCall({
      status: 'active',
      participants: [PHONE, AGENT],
      phone: { ...outbound, callStatus: 'ringing', ruleId: 'SDR_1' },
      audioFrom: ['PA_agent'],
    });
    expect(call.roster).toMatchObject({
      audioFrom: ['PA_agent'],
      firstPhone: { direction: 'inbound' },
      answeredPhones: 1,
    });
    expect(await store.listUnansweredPhones({ after: '', limit: 9 })).toEqual([]);
  });

  test('the departure of a person is kept, and the conversation counts', async () => {
    const { call, list } = await upgradeCall({
      status: 'active',
      participants: [AGENT, isHere('human', HAS_LEFT)],
      grace: { kind: 'connection_lost', role: 'human', reason: 'CONNECTION_TIMEOUT' },
    });
    expect(call.roster).toMatchObject({
      firstPhone: null,
      talkedSince: NOW - 50_000,
      lastPersonLeft: { sid: 'PA_human', reason: 'CONNECTION_TIMEOUT' },
      lastTalkerLeft: { sid: 'PA_human' },
    });
    expect(call.roster?.members.map(({ role }) => role)).toEqual(['agent', 'person']);
    // LiveKit finishes the room, because no participant keeps the room open.
    expect(await list([], NOW)).toMatchObject({ decision: { kind: 'nothing' } });
  });

  test.each(['hello', '[]', '{"sid":5}', '{"sid":"RM_1","participants":{}}'])(
    'a call whose stored room is invalid (%s) begins without a roster',
    async (roomLife) => {
      const { file, run } = createDatabase('0006_last_served.sql');
      change(file, `UPDATE calls SET room_life = '${roomLife}' WHERE id = 'lives'`);
      expect(await run('migrate')).toMatchObject({ code: 0 });
      const store = openSqliteStore(file);
      onTestFinished(() => store.close());
      expect((await store.findCall('lives'))?.call).toMatchObject({ status: 'active', roster: null });
    },
  );

  test('a recently ended call keeps its participants for the guard, and an older call does not', async () => {
    const ended = { status: 'completed', participants: [PHONE, AGENT], phone: outbound };
    const lately = await upgradeCall({ ...ended, endedAt: NOW - HOUR_MS });
    expect(lately.call).toMatchObject({ reviewAt: null, endedAt: NOW - HOUR_MS });
    expect(lately.call.roster?.members.map(({ sid }) => sid)).toEqual(['PA_phone', 'PA_agent']);
    expect(await lately.due(NOW + HOUR_MS)).toEqual([]);
    expect((await upgradeCall({ ...ended, endedAt: NOW - 31 * 24 * HOUR_MS })).call.roster).toBeNull();
  });
});

test('0008_list_indexes lists a scheduled call between dates', async () => {
  const { file, run } = createDatabase('0007_roster.sql');
  change(file, "UPDATE calls SET scheduled_at = -1, created_at = 500 WHERE id = 'waits'");
  expect(await run('migrate')).toMatchObject({ code: 0 });
  const store = openSqliteStore(file);
  onTestFinished(() => store.close());
  const { calls } = await store.listCalls({
    organizationId: 'org_1',
    from: 500,
    to: 500,
    sortBy: 'scheduledAt',
    sortOrder: 'asc',
    limit: 9,
    offset: 0,
  });
  expect(calls.map(({ id }) => id)).toEqual(['waits']);
});

test.each(older)('a failed migration does not change %s', async (fixture) => {
  const { file, run } = createDatabase(fixture);
  // The last migration that creates an object fails. All earlier migrations have run.
  const { name, obstruct, clear } = lastCreatedObject(schemas.slice(schemas.indexOf(fixture) + 1));
  change(file, obstruct);
  const before = contentsOf(file);
  expect(await run('migrate')).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(new RegExp(`\\nhangup: Cannot use the database hangup.db: .*${name}.*\n$`)),
  });
  expect(contentsOf(file)).toEqual(before);

  change(file, clear);
  expect(await run('migrate')).toMatchObject({ code: 0 });
});

/**
 * Returns the newest table or index, otherwise column, of these migrations, with the SQL that lets its migration fail, and
 * the SQL that undoes the first. A new object must not exist before, and an index that is created again must exist.
 */
function lastCreatedObject(migrations: readonly string[]) {
  const sql = migrations.toReversed().map((name) => readFileSync(join(MIGRATIONS, name), 'utf8'));
  const find = (pattern: RegExp) => sql.map((text) => pattern.exec(text)).find((found) => found !== null);
  const found = find(/CREATE (?:UNIQUE )?(INDEX|TABLE) `(\w+)`/);
  if (found) {
    const [, , name = ''] = found;
    const create = `CREATE INDEX ${name} ON calls (created_at)`;
    const drop = `DROP INDEX ${name}`;
    const isCreatedAgain = found.input.includes(`DROP INDEX \`${name}\``);
    return isCreatedAgain ? { name, obstruct: drop, clear: create } : { name, obstruct: create, clear: drop };
  }
  const [, table = '', column = ''] = find(/ALTER TABLE `(\w+)` ADD `(\w+)`/) ?? [];
  const alter = `ALTER TABLE ${table}`;
  return {
    name: column,
    obstruct: `${alter} ADD ${column} integer`,
    clear: `${alter} DROP COLUMN ${column}`,
  };
}

test.each(schemas)(
  'serve refuses the emulator on %s with real calls, and does not change the database',
  async (fixture) => {
    const { file, run } = createDatabase(fixture);
    const before = contentsOf(file);
    const refused = {
      code: 2,
      stderr: expect.stringMatching(/LIVEKIT_URL: required, because hangup\.db contains calls of /),
    };
    expect(await run('serve')).toMatchObject(refused);
    expect(contentsOf(file)).toEqual(before);
    const store = openSqliteStore(file);
    expect((await store.findCall('lives'))?.call.status).toBe('active');
    store.close();
  },
);

test('a server logs the migrations that it applies', async () => {
  const [previous = ''] = older;
  const { cwd, file } = createDatabase(previous);
  // A database with demo calls only, which hangup serves without a LiveKit.
  change(file, "UPDATE organizations SET name = 'demo'; DELETE FROM livekit_servers");
  const hangup = await serveHangup({ cwd, env: { DATABASE_URL: 'file:hangup.db' } });
  expect(hangup.output()).toContain(`"migrations":["${newest.replace('.sql', '')}"]`);
});

test('read-only commands do not migrate a database, because an older server may use it', async () => {
  const [previous = ''] = older;
  const { file, run } = createDatabase(previous);
  const before = contentsOf(file);
  for (const command of ['keys list', 'adoption list', 'deletions list', 'prune --dry-run']) {
    expect(await run(command)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /belongs to an older version of hangup\. Missing migrations: \S+\. Back up the database, then run `hangup migrate`/,
      ),
    });
  }
  expect(contentsOf(file)).toEqual(before);
});

test('every command refuses a newer database with one line and does not change the database', async () => {
  const { file, run } = createDatabase(newest);
  change(file, "INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('of tomorrow', 1)");
  const before = contentsOf(file);
  for (const command of ['serve', 'migrate', 'keys list']) {
    expect(await run(command)).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(
        /^hangup: The database hangup\.db was created by a newer .* Start that version, or restore .*\n$/,
      ),
    });
  }
  expect(contentsOf(file)).toEqual(before);
});
