import pg from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Store } from '../../src/ports/store.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';
import { callEveryMethod } from './every-method.ts';

/** A statement that the store ran, with the settings of its transaction. */
interface Ran {
  readonly text: string;
  readonly values: readonly unknown[];
  readonly settings: readonly string[];
}

/** Returns the statements that stores run during the work, each text once. */
async function statementsOf(work: () => Promise<unknown>): Promise<Ran[]> {
  const ran = new Map<string, Ran>();
  const settings = new WeakMap<pg.Client, readonly string[]>();
  const original = pg.Client.prototype.query;
  const spy = vi.spyOn(pg.Client.prototype, 'query').mockImplementation(function (this: pg.Client, ...args) {
    const [config]: readonly unknown[] = args;
    if (isStatement(config)) {
      const { text, values } = config;
      if (/^(BEGIN|COMMIT|ROLLBACK)/.test(text)) settings.set(this, text.split('; ').slice(1));
      else ran.set(text, { text, values: values ?? [], settings: settings.get(this) ?? [] });
    }
    return Reflect.apply(original, this, args);
  });
  try {
    await work();
  } finally {
    spy.mockRestore();
  }
  return [...ran.values()].filter(({ text }) => /^\s*(select|update|delete|insert|with)\b/i.test(text));
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

const isStatement = (config: unknown): config is { text: string; values?: unknown[] } =>
  typeof config === 'object' && config !== null && 'text' in config && typeof config.text === 'string';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  /** A condition on rows that the node has read. */
  readonly Filter?: string;
  readonly Plans?: readonly PlanNode[];
}

/** Returns the steps of a plan that can read more rows than they return: `Seq Scan calls`, or `Sort of calls_by_phone`. */
async function longStepsOf(client: pg.Client, statement: Ran, mode: string): Promise<string[]> {
  return longSteps(await planOf(client, statement, mode));
}

async function planOf(client: pg.Client, { text, values, settings }: Ran, mode: string): Promise<PlanNode> {
  await client.query(['BEGIN', ...settings, `SET LOCAL plan_cache_mode = ${mode}`].join('; '));
  try {
    await client.query(`PREPARE planned AS ${text}`);
    const parameters = values.length === 0 ? '' : `(${values.map(literal).join(', ')})`;
    const { rows } = await client.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>(
      `EXPLAIN (FORMAT JSON) EXECUTE planned${parameters}`,
    );
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
    if (plan === undefined) throw new Error(`no plan: ${text}`);
    return plan;
  } finally {
    await client.query('ROLLBACK; DEALLOCATE ALL');
  }
}

function longSteps(node: PlanNode): string[] {
  const { 'Node Type': type, 'Index Name': index, Filter: filter, Plans = [] } = node;
  const below = Plans.flatMap(longSteps);
  if (type === 'Sort') return [`Sort of ${[...new Set(sourcesOf(node))].sort().join(', ')}`, ...below];
  if (type === 'Seq Scan') return [`Seq Scan ${sourcesOf(node).join()}`, ...below];
  return index === undefined || filter === undefined ? below : [`Filter of ${index}`, ...below];
}

/** Returns the indexes and tables from which a node gets its rows. */
function sourcesOf({ Plans = [], ...node }: PlanNode): string[] {
  const source = node['Index Name'] ?? node['Relation Name'];
  return [...(source === undefined ? [] : [source]), ...Plans.flatMap(sourcesOf)];
}

/** Returns the indexes that a plan reads, and the tables that it reads without an index. */
function indexesOf({ Plans = [], ...node }: PlanNode): string[] {
  const isOfIndex = node['Node Type'] === 'Bitmap Heap Scan';
  const source = node['Index Name'] ?? (isOfIndex ? undefined : node['Relation Name']);
  return [...(source === undefined ? [] : [source]), ...Plans.flatMap(indexesOf)];
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  const text = Array.isArray(value) ? `{${value.map(element).join(',')}}` : String(value);
  return `'${text.replaceAll("'", "''")}'`;
}

const element = (value: unknown) =>
  value === null ? 'NULL' : `"${String(value).replaceAll(/["\\]/g, (character) => `\\${character}`)}"`;

/** Fills the tables like a server of some weeks. Statistics are made by the caller. */
async function fillTables(url: string): Promise<void> {
  await query(
    url,
    `
    SET session_replication_role = replica;
    INSERT INTO calls (id, organization_id, status, direction, phone_number, agent_id, room_name, metadata,
      scheduled_at, created_at, updated_at, ended_at, review_at, has_unanswered_phone)
    SELECT 'call' || i, 'o' || i % 3, CASE WHEN i > 99900 THEN 'active' WHEN i % 5 = 0 THEN 'cancelled' ELSE 'completed' END,
      CASE WHEN i % 3 = 0 THEN 'inbound' ELSE 'outbound' END, '+' || i % 9000, 'agent' || i * 7919 % 50, 'room' || i, '{}',
      CASE WHEN i % 4 = 0 THEN i + 5 END, i, i, CASE WHEN i <= 99900 THEN i END, CASE WHEN i > 99900 THEN i END,
      CASE WHEN i > 99990 THEN 1 ELSE 0 END
    FROM generate_series(1::bigint, 100000) AS numbers (i);
    INSERT INTO scheduled_days SELECT 'o' || i % 3, i, 0, 100000 FROM generate_series(0, 399) AS numbers (i);
    INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, attempted_at, finalized_at, created_at)
    SELECT id, room_name, CASE WHEN created_at > 99000 THEN 'retryable' ELSE 'completed' END, 1, created_at, created_at,
      CASE WHEN created_at <= 99000 THEN created_at END, created_at FROM calls WHERE status = 'cancelled';
    INSERT INTO audit_log (id, at, organization_id, action, actor, subject_id)
    SELECT created_at, created_at, organization_id, 'call.created', 'operator', id FROM calls;
    UPDATE audit_position SET last = 100000;
    INSERT INTO livekit_events (id, received_at) SELECT 'EV_' || i, i FROM generate_series(1, 100000) AS numbers (i);
    INSERT INTO idempotency_keys (organization_id, key, fingerprint, created_at)
    SELECT 'o1', 'key' || i, 'f', i FROM generate_series(1, 30000) AS numbers (i);
    INSERT INTO cancellations (id, organization_id, state, reason, created_by, created_at, completed_at, selector,
      reported_counts, reported_at)
    SELECT 'can' || i, 'o1', CASE WHEN i > 2990 THEN 'running' ELSE 'completed' END, '', 'k', i,
      CASE WHEN i <= 2990 THEN i END, '{}', '{}', i FROM generate_series(1, 3000) AS numbers (i)`,
  );
}

/** Patterns of a step and its statement, each with the reason for which the step is short or rare. */
const EXCEPTIONS: readonly [pattern: RegExp, reason: string][] = [
  [
    /^(Seq Scan|Sort of) ((api_keys|organizations|adoption_prefixes|livekit_servers)(, )?)+:/,
    'an administrator made each row',
  ],
  [/^(Seq Scan|Sort of) (__drizzle_migrations|audit_position):/, 'a row for each migration, or one row'],
  [/^Seq Scan (fleet_members|pass_leases): /, 'a row for each process, or for each pass'],
  [/^(Sort|Filter) of calls_by_(phone|cancellation): /, 'few calls'],
  [/^Filter of scheduled_days_organization_id_day_pk: /, 'a row for each day'],
  [/^Sort of [\w, ]*: SELECT agent_id AS id/, 'live calls only'],
  [/^Sort of [\w, ]*: WITH candidates AS/, 'a limited part of each index'],
  [/^Sort of calls_pkey, room_deletions_due: WITH position AS/, 'open deletions only'],
  [/^Sort of calls, calls_by_review: /, 'live calls only'],
  [/^Sort of calls_live_room_name: SELECT id FROM calls WHERE organization_id = \$1/, 'live calls only'],
  [/^Sort of room_deletions_incomplete_room_name: /, 'no completed deletion, and a command'],
  [/^Sort of cancellations_running: /, 'running ones only'],
  [
    /^Sort of [\w, ]*: (SELECT keys,|SELECT (newest|rooms|deletions)\.|WITH of_cancellations)/,
    'the rows of one batch of changes',
  ],
  [/^Sort of [\w, ]*: SELECT id, organization_id AS "organizationId", selector/, 'unfinished ones only'],
  [/^Seq Scan livekit_events: SELECT EXISTS/, 'one row'],
  [/^Seq Scan audit_log: SELECT count/, 'hangup prune --dry-run'],
];

/** Members of the store that send no query of the store. Rate limits have a table of their own, and its keys. */
const OTHERS = ['close', 'countConnections', 'createRateLimiter', 'watchEvents'];

/** Whether the statement reads a list. Lists have generic plans, and no conditions on rows that they have read. */
const isList = ({ settings }: Ran) => settings.some((setting) => setting.includes('force_generic_plan'));
const oneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

describe.skipIf(!hasPostgres())('plans on Postgres', () => {
  test('no query of the store reads a complete table or sorts rows, except the listed ones', async () => {
    const store = await openPostgresStore({ url: await postgresDatabase() });
    const called = new Set<string>();
    const recorded: Store = new Proxy(store, {
      get(target, name: keyof Store) {
        called.add(name);
        return target[name];
      },
    });
    const statements = await statementsOf(() => callEveryMethod(recorded));
    await store.close();
    const methods = Object.keys(store).filter((name) => !OTHERS.includes(name));
    expect(methods.filter((name) => !called.has(name))).toEqual([]);
    const large = await postgresDatabase();
    await fillTables(large);
    const client = await connect(large);
    const used = new Set<RegExp>();
    const offencesOf = async (ran: readonly Ran[], modes: readonly string[]) => {
      const offences = new Set<string>();
      for (const statement of ran) {
        for (const mode of modes) {
          for (const step of await longStepsOf(client, statement, mode)) {
            if (step.startsWith('Filter') && !isList(statement)) continue;
            const offence = `${step}: ${oneLine(statement.text)}`;
            const exception = EXCEPTIONS.find(([pattern]) => pattern.test(offence));
            if (exception === undefined) offences.add(offence);
            else used.add(exception[0]);
          }
        }
      }
      return [...offences];
    };
    const lists = statements.filter(isList);
    expect(lists.length).toBeGreaterThan(50);
    // Postgres plans without statistics until the first ANALYZE.
    expect(await offencesOf(lists, ['force_generic_plan'])).toEqual([]);
    await client.query('ANALYZE');
    expect(await offencesOf(lists, ['force_generic_plan'])).toEqual([]);
    const others = statements.filter((statement) => !isList(statement));
    expect(await offencesOf(others, ['force_generic_plan', 'force_custom_plan'])).toEqual([]);
    expect(EXCEPTIONS.map(([pattern]) => pattern).filter((pattern) => !used.has(pattern))).toEqual([]);
  });

  test('queries for live calls and open deletions read no ended call', async () => {
    const url = await postgresDatabase();
    await fillTables(url);
    const store = await openPostgresStore({ url });
    const counts = await statementsOf(() => store.countLive());
    const searches = await statementsOf(async () => {
      await store.listLiveRooms({ after: '', limit: 9 });
      await store.findLiveCalls(['live1']);
      await store.listUnansweredPhones({ after: '', limit: 9 });
      await store.listReviews({ maxDelayMs: 1, limit: 9 });
      await store.getWebhookActivity();
    });
    await store.close();
    const client = await connect(url);
    const read = new Set<string>();
    const addIndexes = async (statements: readonly Ran[]) => {
      for (const statement of statements) {
        for (const mode of ['force_generic_plan', 'force_custom_plan']) {
          for (const source of indexesOf(await planOf(client, statement, mode))) read.add(source);
        }
      }
    };
    // Postgres plans without statistics before an ANALYZE. A count then assumes that most deletions are incomplete.
    await addIndexes(searches);
    await client.query('ANALYZE');
    await addIndexes([...searches, ...counts]);
    expect([...read].sort()).toEqual([
      'calls_by_review',
      'calls_live_room_name',
      'calls_with_unanswered_phone',
      'cancellations_running',
      'cancellations_with_active_hold',
      'livekit_events',
      'room_deletions_incomplete_room_name',
    ]);
  });
});
