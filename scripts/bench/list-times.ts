import type { CallQuery, CallStore } from '../../src/ports/store.ts';

/* The times of lists in a store that make-calls.ts filled, without HTTP. */

const DAY_MS = 86_400_000;
const PAGE = 50;
const DAYS = [355, 270, 180, 90, 2];
const OFFSETS = [1_000, 100_000, 1_000_000];
/** Each list runs twice before the measurement, and then this many times. */
const ROUNDS = 10;

type Filter = Omit<CallQuery, 'organizationId' | 'sortBy' | 'sortOrder' | 'limit' | 'offset' | 'after'>;

/** Every filter of the contract, alone and combined, with filters that match no call. */
function filters(now: number): Filter[] {
  const [from, to] = [startOfDay(now, 180), startOfDay(now, 90)];
  const agentId = 'agent_7';
  const phoneNumber = '+15550104729';
  return [
    {},
    { statuses: ['completed'] },
    { statuses: ['completed', 'cancelled'] },
    { statuses: ['active'] },
    { statuses: ['initiated', 'ringing'] },
    { direction: 'inbound' },
    { direction: 'outbound', statuses: ['busy'] },
    { agentId },
    { agentId, statuses: ['failed'] },
    { agentId, statuses: ['active', 'completed'], direction: 'inbound' },
    { phoneNumber },
    { phoneNumber, agentId, statuses: ['failed'], direction: 'outbound' },
    { from },
    { to: from },
    { from, to },
    { statuses: ['no_answer'], direction: 'outbound', from },
    { agentId, statuses: ['completed'], direction: 'outbound', from, to },
    { direction: 'inbound', to: from },
  ];
}

const startOfDay = (now: number, daysAgo: number) => Math.floor(now / DAY_MS - daysAgo) * DAY_MS;

export interface ListTimes {
  readonly lists: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

/** Measures every filter in every order at several depths, one list at a time. */
export async function measureLists(store: CallStore, organizationId: string): Promise<ListTimes> {
  const lists = await collectLists(store, { organizationId, limit: PAGE, offset: 0 });
  for (const list of [...lists, ...lists]) await store.listCalls(list);
  const times: number[] = [];
  for (let i = 0; i < lists.length * ROUNDS; i += 1) {
    // Neighbours have nothing in common, so that no page is in the cache because of the one before.
    const list = lists[(i * 89) % lists.length];
    if (list === undefined) continue;
    const beganAt = performance.now();
    await store.listCalls(list);
    times.push(performance.now() - beganAt);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.ceil(times.length * share) - 1] ?? Number.NaN;
  return { lists: lists.length, p50Ms: at(0.5), p99Ms: at(0.99), longestMs: at(1) };
}

async function collectLists(
  store: CallStore,
  base: Pick<CallQuery, 'organizationId' | 'limit' | 'offset'>,
): Promise<CallQuery[]> {
  const now = Date.now();
  const lists: CallQuery[] = [];
  for (const sortBy of ['createdAt', 'scheduledAt'] as const) {
    for (const sortOrder of ['desc', 'asc'] as const) {
      const order = { ...base, sortBy, sortOrder };
      const days = DAYS.map((day) => startOfDay(now, day));
      const starts: Partial<CallQuery>[] =
        sortBy === 'createdAt'
          ? days.map((day) => (sortOrder === 'desc' ? { to: day } : { from: day }))
          : OFFSETS.map((offset) => ({ offset }));
      const cursors: CallQuery['after'][] = [undefined];
      for (const start of starts) {
        const { next } = await store.listCalls({ ...order, ...start, limit: 1 });
        if (next !== null) cursors.push(next);
      }
      for (const filter of filters(now)) {
        for (const after of cursors) lists.push({ ...order, ...filter, after });
      }
    }
  }
  return lists;
}
