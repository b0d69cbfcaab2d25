import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Call, CallStatus } from '../../src/console/api/call.ts';
import type { LiveEvent } from '../../src/console/api/trpc.ts';
import { CallList } from '../../src/console/calls/call-list.ts';
import type { CallPage, CallSource } from '../../src/console/calls/call-source.ts';
import { parseFilter } from '../../src/console/calls/filter.ts';

const PAGE_SIZE = 100;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function buildCall(number: number, status: CallStatus = 'active'): Call {
  return {
    id: `call-${number}`,
    status,
    direction: 'outbound',
    scheduledAt: null,
    duration: null,
    outcome: null,
    agent: { id: 'sales', name: null },
    contact: { phone: null, name: null, email: null },
    phoneNumber: null,
    createdAt: new Date(number * 1_000).toISOString(),
    room: { name: `call-${number}`, participants: [] },
  };
}

/** A hangup with calls 1 to `count`, of which the newest is the last. Counts the requests. */
function startHangup(count: number, search = '') {
  const calls = new Map(Array.from({ length: count }, (_, index) => [index + 1, buildCall(index + 1)]));
  const filter = parseFilter(search);
  const requests: string[] = [];
  let isDown = false;
  const matching = () =>
    [...calls.entries()]
      .filter(([, { status }]) => filter.statuses === null || filter.statuses.includes(status))
      .sort(([a], [b]) => b - a);
  const source: CallSource = {
    async readPage(cursor): Promise<CallPage> {
      requests.push(cursor ?? 'first');
      if (isDown) throw new Error('down');
      const all = matching();
      const rest = all.filter(([number]) => cursor === null || number < Number(cursor));
      const page = rest.slice(0, PAGE_SIZE);
      const nextCursor = rest.length > PAGE_SIZE ? String(page.at(-1)?.[0]) : null;
      return { calls: page.map(([, call]) => call), nextCursor, total: all.length, isTotalCapped: false };
    },
    async readPeriod(from, to) {
      requests.push('period');
      return matching()
        .map(([, call]) => call)
        .filter(({ createdAt }) => createdAt >= from && createdAt <= to);
    },
  };
  const list = new CallList(filter, source, Date.now);
  let events = 0;
  const position = () => ({ id: String(events), at: new Date().toISOString() });
  return {
    list,
    requests,
    fail: (isFailing: boolean) => {
      isDown = isFailing;
    },
    create(number: number) {
      calls.set(number, buildCall(number));
      events += 1;
      const created = { callId: `call-${number}`, status: 'active', agentId: 'sales' } as const;
      list.apply({ ...position(), type: 'call.created', ...created, actor: 'livekit', actorId: null });
    },
    change(number: number, to: CallStatus) {
      const call = calls.get(number) ?? buildCall(number);
      calls.set(number, { ...call, status: to });
      events += 1;
      const changed = { callId: call.id, from: call.status, to, reason: null, cancellationId: null };
      list.apply({
        ...position(),
        type: 'call.status_changed',
        ...changed,
        actor: 'livekit',
        actorId: null,
      });
    },
    send: (event: LiveEvent) => list.apply(event),
    async open() {
      list.open();
      await vi.advanceTimersByTimeAsync(1);
    },
    /** Lets time pass as on the page, with all loaded rows visible, or these. */
    async wait(ms: number, visible?: readonly string[]) {
      for (let passed = 0; passed < ms; passed += 500) {
        await vi.advanceTimersByTimeAsync(500);
        list.tick(visible ?? []);
        await vi.advanceTimersByTimeAsync(1);
      }
    },
    ids: () => list.order.map(({ id }) => id),
  };
}

test('the list loads page by page, with its total', async () => {
  const { list, open, requests } = startHangup(250);
  await open();
  expect(list.order.length).toBe(100);
  expect(list.total).toEqual({ count: 250, isCapped: false });
  await list.loadMore();
  await list.loadMore();
  expect(list.order.length).toBe(250);
  expect(list.hasMore).toBe(false);
  expect(requests).toEqual(['first', '151', '51']);
});

test('a change of status needs no request, and a call that ended leaves the list after some seconds', async () => {
  const hangup = startHangup(3);
  await hangup.open();
  const { order } = hangup.list;
  hangup.change(2, 'completed');
  expect(hangup.list.row('call-2')?.call.status).toBe('completed');
  expect(hangup.list.order).toBe(order);
  await hangup.wait(4_000);
  expect(hangup.ids()).toEqual(['call-3', 'call-2', 'call-1']);
  await hangup.wait(8_000);
  expect(hangup.ids()).toEqual(['call-3', 'call-1']);
});

test('new calls appear at the begin, and the rows of other calls stay the same objects', async () => {
  const hangup = startHangup(2);
  await hangup.open();
  const [first] = hangup.list.order;
  hangup.create(3);
  await hangup.wait(4_000);
  expect(hangup.ids()).toEqual(['call-3', 'call-2', 'call-1']);
  expect(hangup.list.order[1]).toBe(first);
});

test('a storm of events causes one request each three seconds', async () => {
  const hangup = startHangup(100);
  await hangup.open();
  for (let number = 101; number <= 1_000; number += 1) {
    hangup.create(number);
    if (number % 10 === 0) {
      hangup.change(number - 5, 'cancelled');
      await hangup.wait(500);
    }
  }
  await hangup.wait(4_000);
  // 50 s, and the later pages until the list is continuous.
  expect(hangup.requests.length).toBeLessThan(40);
  expect(hangup.ids()[0]).toBe('call-1000');
});

test('new calls that fill more than one page leave no gap in the list', async () => {
  const hangup = startHangup(150);
  await hangup.open();
  await hangup.list.loadMore();
  for (let number = 151; number <= 400; number += 1) hangup.create(number);
  await hangup.wait(4_000);
  expect(hangup.ids()).toEqual(Array.from({ length: 400 }, (_, index) => `call-${400 - index}`));
});

test('more new calls than a reload reads start the list again, without a gap', async () => {
  const hangup = startHangup(100);
  await hangup.open();
  for (let number = 101; number <= 1_000; number += 1) hangup.create(number);
  await hangup.wait(4_000);
  expect(hangup.ids()).toEqual(Array.from({ length: 500 }, (_, index) => `call-${1_000 - index}`));
  await hangup.list.loadMore();
  expect(hangup.ids().at(-1)).toBe('call-401');
});

test('the order stays while the reader uses the list', async () => {
  const hangup = startHangup(2);
  await hangup.open();
  hangup.create(3);
  for (let passed = 0; passed < 6_000; passed += 500) {
    hangup.list.use();
    await hangup.wait(500);
  }
  expect(hangup.ids()).toEqual(['call-2', 'call-1']);
  await hangup.wait(4_000);
  expect(hangup.ids()).toEqual(['call-3', 'call-2', 'call-1']);
});

test('calls that start to match a list of some statuses appear in their place', async () => {
  const hangup = startHangup(5, 'status=failed');
  await hangup.open();
  expect(hangup.ids()).toEqual([]);
  hangup.change(2, 'failed');
  hangup.change(4, 'failed');
  await hangup.wait(4_000);
  expect(hangup.ids()).toEqual(['call-4', 'call-2']);
});

test('the participants of changed rows are read again when the rows are visible', async () => {
  const hangup = startHangup(300);
  await hangup.open();
  await hangup.wait(4_000);
  hangup.change(250, 'ringing');
  await hangup.wait(4_000, ['call-299', 'call-298']);
  expect(hangup.requests).toEqual(['first']);
  await hangup.wait(4_000, ['call-251', 'call-250']);
  expect(hangup.requests).toEqual(['first', 'period']);
  await hangup.wait(8_000, ['call-251', 'call-250']);
  expect(hangup.requests).toEqual(['first', 'period']);
});

test('a response to a request before an event does not undo the event', async () => {
  const hangup = startHangup(2);
  const reading = hangup.open();
  hangup.change(1, 'ringing');
  await reading;
  hangup.create(3);
  hangup.change(1, 'completed');
  expect(hangup.list.row('call-1')?.call.status).toBe('completed');
  await hangup.wait(4_000);
  expect(hangup.list.row('call-1')?.call.status).toBe('completed');
});

test('an event during the request that loads its call is not lost', async () => {
  const hangup = startHangup(150);
  const reading = hangup.open();
  hangup.change(150, 'ringing');
  await reading;
  expect(hangup.list.row('call-150')?.call.status).toBe('ringing');
  const loading = hangup.list.loadMore();
  hangup.change(1, 'ringing');
  await loading;
  expect(hangup.list.row('call-1')?.call.status).toBe('ringing');
});

test('a gap in the event stream loads the list again, and a continued stream does not', async () => {
  const hangup = startHangup(2);
  await hangup.open();
  const at = new Date().toISOString();
  hangup.send({ type: 'opened', id: '7', at });
  await hangup.wait(4_000);
  expect(hangup.requests.length).toBe(2);
  hangup.send({ type: 'opened', id: '7', at });
  await hangup.wait(4_000);
  expect(hangup.requests.length).toBe(2);
  hangup.send({ type: 'reset', id: '9', at });
  await hangup.wait(4_000);
  expect(hangup.requests.length).toBe(3);
});

test('a failed reload keeps the list, and is repeated', async () => {
  const hangup = startHangup(2);
  await hangup.open();
  hangup.fail(true);
  hangup.create(3);
  await hangup.wait(4_000);
  expect(hangup.ids()).toEqual(['call-2', 'call-1']);
  hangup.fail(false);
  await hangup.wait(8_000);
  expect(hangup.ids()).toEqual(['call-3', 'call-2', 'call-1']);
});

test('a failed first load is an error until the next one succeeds', async () => {
  const hangup = startHangup(2);
  hangup.fail(true);
  await hangup.open();
  expect(hangup.list.first.kind).toBe('failed');
  hangup.fail(false);
  await hangup.list.reload();
  expect(hangup.list.first.kind).toBe('idle');
  expect(hangup.ids()).toEqual(['call-2', 'call-1']);
});
