import { execFile } from 'node:child_process';
import { copyFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import SqliteDatabase from 'better-sqlite3';
import { expect, test, vi } from 'vitest';
import { CALL_STATUSES, type CallStatus, DIRECTIONS, isLive } from '../../src/domain/call-status.ts';
import type { CallQuery } from '../../src/ports/store.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { insertApiKey } from '../harness/calls.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { eachListShape } from './list-shapes.ts';

const DAY_MS = 86_400_000;

interface StoredCall {
  readonly id: string;
  readonly status: CallStatus;
  readonly direction: (typeof DIRECTIONS)[number];
  readonly agentId: string | null;
  readonly phoneNumber: string | null;
  readonly cancellationId: string | null;
  readonly scheduledAt: number | null;
  readonly createdAt: number;
}

/** Returns a generator of the same numbers in each run, from 0 to below `limit`. */
function numbersBelow() {
  let state = 12_345;
  return (limit: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * limit);
  };
}

/** Returns calls with many equal values, so that each filter matches some calls and ids decide the order of some. */
function makeCalls(count: number): StoredCall[] {
  const below = numbersBelow();
  const oneOf = <T>(values: readonly [T, ...T[]]) => values[below(values.length)] ?? values[0];
  return Array.from({ length: count }, (_, i) => ({
    id: `call_${String((i * 7_919) % 1_000).padStart(4, '0')}`,
    status: oneOf(CALL_STATUSES),
    direction: oneOf(DIRECTIONS),
    agentId: oneOf([null, 'a', 'b']),
    phoneNumber: oneOf([null, '+1', '+2']),
    cancellationId: oneOf([null, 'can', 'other']),
    // Some times are before 1970, as the sort key of a call without a scheduled time is 0.
    scheduledAt: below(2) === 0 ? null : (below(12) - 3) * (DAY_MS / 2),
    createdAt: below(40) * (DAY_MS / 4),
  }));
}

async function openFilledStore(calls: readonly StoredCall[]) {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const { organizationId } = await insertApiKey(store);
  const client = new SqliteDatabase(file);
  // The cancellations of the calls are not on record.
  client.pragma('foreign_keys = OFF');
  const insert = client.prepare(`
    INSERT INTO calls (id, organization_id, status, direction, agent_id, phone_number, cancellation_id, scheduled_at, room_name, metadata,
      created_at, updated_at, ended_at)
    VALUES (@id, '${organizationId}', @status, @direction, @agentId, @phoneNumber, @cancellationId, @scheduledAt, @id, '{}', @createdAt,
      @createdAt, @endedAt)`);
  client.transaction(() => {
    for (const call of calls) insert.run({ ...call, endedAt: isLive(call.status) ? null : call.createdAt });
  })();
  return { store, organizationId, client };
}

/** Returns the calls that match, in order: the list's definition, without an index. */
function expectedCalls(calls: readonly StoredCall[], query: CallQuery): StoredCall[] {
  const {
    cancellationId,
    agentId,
    phoneNumber,
    direction,
    statuses = [],
    from = -Infinity,
    to = Infinity,
  } = query;
  const sign = query.sortOrder === 'asc' ? 1 : -1;
  const sortOf = (call: StoredCall) => (query.sortBy === 'createdAt' ? 0 : (call.scheduledAt ?? 0));
  return calls
    .filter((call) => agentId === undefined || call.agentId === agentId)
    .filter((call) => cancellationId === undefined || call.cancellationId === cancellationId)
    .filter((call) => phoneNumber === undefined || call.phoneNumber === phoneNumber)
    .filter((call) => direction === undefined || call.direction === direction)
    .filter((call) => statuses.length === 0 || statuses.includes(call.status))
    .filter((call) => call.createdAt >= from && call.createdAt <= to)
    .sort((a, b) => sign * (sortOf(a) - sortOf(b) || a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1)));
}

test('every combination of filters and orders returns each matching call once, page by page', async () => {
  const calls = makeCalls(600);
  const { store, organizationId, client } = await openFilledStore(calls);
  let lists = 0;
  for (const shape of eachListShape({ from: 2 * DAY_MS, to: 7 * DAY_MS + 1 })) {
    const query = { organizationId, limit: 40, offset: 0, ...shape };
    const expected = expectedCalls(calls, query).map(({ id }) => id);
    const listed: string[] = [];
    let after: CallQuery['after'];
    do {
      const page = await store.listCalls({ ...query, after });
      listed.push(...page.calls.map(({ id }) => id));
      expect(page.total).toBe(expected.length);
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(listed, JSON.stringify(shape)).toEqual(expected);
    lists += 1;
  }
  expect(lists).toBeGreaterThan(500);
  client.close();
  store.close();
}, 60_000);

test('a page after the cursor of another filter begins at the cursor', async () => {
  const calls = makeCalls(300);
  const { store, organizationId, client } = await openFilledStore(calls);
  const cursors = [-DAY_MS, 0, DAY_MS].flatMap((sort) =>
    [0, 3 * DAY_MS, 9 * DAY_MS].map((createdAt) => ({ sort, createdAt, id: 'call_0500' })),
  );
  for (const shape of eachListShape({ from: 2 * DAY_MS, to: 7 * DAY_MS })) {
    const isAfter = ({ scheduledAt, createdAt, id }: StoredCall, cursor: NonNullable<CallQuery['after']>) => {
      const sign = shape.sortOrder === 'asc' ? 1 : -1;
      const distance =
        (shape.sortBy === 'createdAt' ? 0 : (scheduledAt ?? 0) - cursor.sort) || createdAt - cursor.createdAt;
      return sign * (distance || (id > cursor.id ? 1 : id < cursor.id ? -1 : 0)) > 0;
    };
    for (const cursor of cursors) {
      const query = { organizationId, limit: 100, offset: 0, ...shape, after: cursor };
      const { calls: listed } = await store.listCalls(query);
      const expected = expectedCalls(calls, query).filter((call) => isAfter(call, cursor));
      expect(listed.map(({ id }) => id)).toEqual(expected.slice(0, 100).map(({ id }) => id));
    }
  }
  client.close();
  store.close();
}, 60_000);

test('a list counts again after a change by another connection or its own', async () => {
  const { store, organizationId, client } = await openFilledStore(makeCalls(10));
  const total = async () => {
    const order = { sortBy: 'createdAt', sortOrder: 'desc' } as const;
    return (await store.listCalls({ organizationId, limit: 5, offset: 0, ...order })).total;
  };
  expect(await total()).toBe(10);
  client.exec("DELETE FROM calls WHERE id = (SELECT min(id) FROM calls WHERE status = 'busy' OR 1)");
  expect(await total()).toBe(9);
  await store.pruneCalls({ before: 100 * DAY_MS, limit: 100 });
  const left = client.prepare<[], number>('SELECT count(*) FROM calls').pluck().get();
  expect(left).toBeLessThan(9);
  expect(await total()).toBe(left);
  client.close();
  store.close();
});

test('each total among those of 2,500 agents is right', async () => {
  const calls = makeCalls(100);
  const { store, organizationId, client } = await openFilledStore(calls);
  for (let i = 0; i < 2_500; i += 1) {
    const agentId = i % 5 === 0 ? 'a' : i % 5 === 1 ? 'b' : `agent_${i}`;
    const query = {
      organizationId,
      agentId,
      sortBy: 'createdAt',
      sortOrder: 'asc',
      limit: 1,
      offset: 0,
    } as const;
    expect((await store.listCalls(query)).total).toBe(expectedCalls(calls, query).length);
  }
  client.close();
  store.close();
});

test('a list of the same shape prepares no statement', async () => {
  const { store, organizationId, client } = await openFilledStore(makeCalls(10));
  const list = (agentId: string, to: number) =>
    store.listCalls({
      organizationId,
      agentId,
      to,
      statuses: ['busy', 'active'],
      sortBy: 'scheduledAt',
      sortOrder: 'asc',
      limit: 5,
      offset: 0,
    });
  await list('a', 5);
  const prepare = vi.spyOn(SqliteDatabase.prototype, 'prepare');
  await list('b', 6);
  expect(prepare).not.toHaveBeenCalled();
  prepare.mockRestore();
  client.close();
  store.close();
});

test('a call whose scheduled time changed is listed between dates', async () => {
  const call = makeCalls(1).map((one) => ({ ...one, status: 'initiated', scheduledAt: DAY_MS }) as const);
  const { store, organizationId, client } = await openFilledStore(call);
  client.exec(`UPDATE calls SET scheduled_at = ${-5 * DAY_MS - 1}`);
  const { calls } = await store.listCalls({
    organizationId,
    from: 0,
    sortBy: 'scheduledAt',
    sortOrder: 'desc',
    limit: 5,
    offset: 0,
  });
  expect(calls.map(({ scheduledAt }) => scheduledAt)).toEqual([-5 * DAY_MS - 1]);
  client.close();
  store.close();
});

test('20,000 lists of different shapes need less than 150 MB of memory', async () => {
  const args = [
    '--import',
    'tsx',
    fileURLToPath(new URL('./list-memory.ts', import.meta.url)),
    join(temporaryFolder(), 'hangup.db'),
    '20000',
  ];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  // About 40 MB. Without a limit, or with a limit and one connection, the growth is about 400 MB.
  expect(JSON.parse(stdout)).toEqual({ growthMb: expect.any(Number) });
  expect(JSON.parse(stdout).growthMb).toBeLessThan(150);
}, 120_000);

test('a list never reads a file that replaced the database', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const list = { organizationId: 'o', sortBy: 'createdAt', sortOrder: 'asc', limit: 5, offset: 0 } as const;
  renameSync(file, `${file}.old`);
  copyFileSync(`${file}.old`, file);
  await expect(store.listCalls(list)).rejects.toThrow('was removed or replaced while hangup was running');
  renameSync(`${file}.old`, file);
  expect((await store.listCalls(list)).total).toBe(0);
  store.close();
  await expect(store.listCalls(list)).rejects.toThrow('not open');
});
