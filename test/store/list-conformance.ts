import { describe, expect, test } from 'vitest';
import { CALL_STATUSES, type CallStatus, DIRECTIONS } from '../../src/domain/call-status.ts';
import type { CallQuery, Store } from '../../src/ports/store.ts';
import { eachListShape } from './list-shapes.ts';

const DAY_MS = 86_400_000;

export interface StoredCall {
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
export function makeCalls(count: number): StoredCall[] {
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

/** A store with calls of one organization. The test that opened the store closes it. */
export interface FilledStore {
  readonly store: Pick<Store, 'listCalls' | 'pruneCalls'>;
  readonly organizationId: string;
  /** Runs SQL on another connection. */
  execute(sql: string): Promise<void> | void;
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

/** The tests of the list of every store, which compare each list with its definition. */
export function listConformance(
  name: string,
  open: (calls: readonly StoredCall[]) => Promise<FilledStore>,
): void {
  describe(`${name}: lists`, () => {
    test('every combination of filters and orders returns each matching call once, page by page', async () => {
      const calls = makeCalls(600);
      const { store, organizationId } = await open(calls);
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
    });

    test('a page after the cursor of another filter begins at the cursor', async () => {
      const calls = makeCalls(300);
      const { store, organizationId } = await open(calls);
      const cursors = [-DAY_MS, 0, DAY_MS].flatMap((sort) =>
        [0, 3 * DAY_MS, 9 * DAY_MS].map((createdAt) => ({ sort, createdAt, id: 'call_0500' })),
      );
      for (const shape of eachListShape({ from: 2 * DAY_MS, to: 7 * DAY_MS })) {
        const isAfter = (
          { scheduledAt, createdAt, id }: StoredCall,
          cursor: NonNullable<CallQuery['after']>,
        ) => {
          const sign = shape.sortOrder === 'asc' ? 1 : -1;
          const distance =
            (shape.sortBy === 'createdAt' ? 0 : (scheduledAt ?? 0) - cursor.sort) ||
            createdAt - cursor.createdAt;
          return sign * (distance || (id > cursor.id ? 1 : id < cursor.id ? -1 : 0)) > 0;
        };
        for (const cursor of cursors) {
          const query = { organizationId, limit: 100, offset: 0, ...shape, after: cursor };
          const { calls: listed } = await store.listCalls(query);
          const expected = expectedCalls(calls, query).filter((call) => isAfter(call, cursor));
          expect(listed.map(({ id }) => id)).toEqual(expected.slice(0, 100).map(({ id }) => id));
        }
      }
    });

    test('a list counts again after a change by another connection or its own', async () => {
      const { store, organizationId, execute } = await open(makeCalls(10));
      const total = async () => {
        const order = { sortBy: 'createdAt', sortOrder: 'desc' } as const;
        return (await store.listCalls({ organizationId, limit: 5, offset: 0, ...order })).total;
      };
      expect(await total()).toBe(10);
      await execute('DELETE FROM calls WHERE id = (SELECT min(id) FROM calls)');
      expect(await total()).toBe(9);
      const pruned = await store.pruneCalls({ before: 100 * DAY_MS, limit: 100 });
      expect(pruned).toBeGreaterThan(0);
      expect(await total()).toBe(9 - pruned);
    });

    test('each total among those of 2,500 agents is right', async () => {
      const calls = makeCalls(100);
      const { store, organizationId } = await open(calls);
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
    });

    test('a call whose scheduled time changed is listed between dates', async () => {
      const call = makeCalls(1).map((one) => ({ ...one, status: 'initiated', scheduledAt: DAY_MS }) as const);
      const { store, organizationId, execute } = await open(call);
      await execute(`UPDATE calls SET scheduled_at = ${-5 * DAY_MS - 1}`);
      const { calls } = await store.listCalls({
        organizationId,
        from: 0,
        sortBy: 'scheduledAt',
        sortOrder: 'desc',
        limit: 5,
        offset: 0,
      });
      expect(calls.map(({ scheduledAt }) => scheduledAt)).toEqual([-5 * DAY_MS - 1]);
    });
  });
}
