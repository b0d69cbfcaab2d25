import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Call } from '../../src/domain/call.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { startEmulated } from '../harness/livekit.ts';
import { WAIT } from '../harness/time.ts';
import { AGENT, HUMAN, postWebhook, roomWebhooks } from '../harness/webhooks.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const PATH = '/api/v1/cancellations';

interface Counts {
  matched: number;
  cancelled: number;
  alreadyEnded: number;
  notFound: number;
  rooms: { deleted: number; pending: number; discarded: number };
}
interface Cancellation {
  id: string;
  state: string;
  counts: Counts;
}

const dataOf = <Data>(body: unknown) => (body as { data: Data }).data;
const stop = (body: object, options?: Parameters<Hangup['send']>[2]) =>
  hangup.send('POST', PATH, { body: { reason: 'test', ...body }, ...options });
const read = async (id: string, on = hangup) =>
  dataOf<Cancellation>((await on.send('GET', `${PATH}/${id}`)).body);

/** Starts a cancellation, and returns it after its completion. */
async function stopCompletely(body: object, options?: Parameters<Hangup['send']>[2]): Promise<Cancellation> {
  const started = await stop(body, options);
  expect(started).toMatchObject({ status: 202, body: { message: 'Cancellation started' } });
  const { id } = dataOf<Cancellation>(started.body);
  // A loaded machine needs half a minute for 10,000 ids.
  const limits = { ...WAIT, timeout: 120_000 };
  await expect.poll(() => read(id).then(({ state }) => state), limits).toBe('completed');
  return read(id);
}

/** Inserts live calls of an agent of their own, so that the tests can share a database. */
async function insertCalls(agentId: string, calls: readonly Partial<Call>[]): Promise<string[]> {
  const ids = calls.map((_, i) => `${agentId}-${i}`);
  for (const [i, parts] of calls.entries()) {
    await hangup.insertCall({ id: ids[i] ?? '', agentId, status: 'active', ...parts });
  }
  return ids;
}
const statusOf = async (id: string) =>
  dataOf<{ status: string }>((await hangup.send('GET', `/api/v1/calls/${id}`)).body).status;

test('a cancellation by filter cancels exactly the matching calls, and deletes their rooms', async () => {
  const ids = await insertCalls('by-filter', [{}, { status: 'ringing' }, { status: 'initiated' }]);
  const [other = ''] = await insertCalls('not-by-filter', [{}]);
  const started = await stop({ filter: { agentId: 'by-filter' }, reason: 'wrong advice' });
  const { id } = dataOf<Cancellation>(started.body);
  expect(started.status).toBe(202);
  expect(started.headers.get('location')).toBe(`${PATH}/${id}`);
  expect(dataOf(started.body)).toMatchObject({
    state: 'running',
    reason: 'wrong advice',
    completedAt: null,
    selector: { filter: { agentId: 'by-filter' } },
    hold: null,
  });
  await expect
    .poll(() => read(id), WAIT)
    .toMatchObject({
      state: 'completed',
      completedAt: expect.stringMatching(/Z$/),
      counts: {
        matched: 3,
        cancelled: 3,
        alreadyEnded: 0,
        notFound: 0,
        rooms: { deleted: 3, pending: 0, discarded: 0 },
      },
    });
  for (const callId of ids) {
    expect(await hangup.send('GET', `/api/v1/calls/${callId}`)).toMatchObject({
      body: {
        data: {
          status: 'cancelled',
          cancelReason: 'wrong advice',
          cancellationId: id,
          roomDeletion: { state: 'completed' },
        },
      },
    });
  }
  expect(await statusOf(other)).toBe('active');
});

test('the calls of a cancellation are a list, with all filters of a list', async () => {
  await insertCalls('listed', [{}, { status: 'ringing', scheduledAt: 5_000 }, { direction: 'inbound' }]);
  const { id } = await stopCompletely({ filter: { agentId: 'listed' } });
  const list = async (query = '') => {
    const { body } = await hangup.send('GET', `/api/v1/calls?cancellationId=${id}${query}`);
    const { calls, pagination } = dataOf<{ calls: { id: string }[]; pagination: { total: number } }>(body);
    return {
      ids: calls.map((call) => call.id).toSorted((a, b) => a.localeCompare(b)),
      total: pagination.total,
    };
  };
  expect(await list()).toEqual({ ids: ['listed-0', 'listed-1', 'listed-2'], total: 3 });
  expect(await list('&direction=inbound')).toEqual({ ids: ['listed-2'], total: 1 });
  expect(await list('&status=active')).toEqual({ ids: [], total: 0 });
  expect(await list('&agentId=listed&limit=1&offset=1')).toMatchObject({ total: 3 });
  expect(await list('&sortBy=scheduledAt&limit=1')).toEqual({ ids: ['listed-1'], total: 3 });
  expect(await hangup.send('GET', '/api/v1/calls?cancellationId=can_unknown')).toMatchObject({
    status: 200,
    body: { data: { calls: [] } },
  });
});

test('the audit event of each call has the cancellation, the key and the reason', async () => {
  const [callId = ''] = await insertCalls('audited', [{}]);
  const { id } = await stopCompletely({ filter: { agentId: 'audited' }, reason: 'why' });
  const { body } = await hangup.send('GET', `/api/v1/calls/${callId}/events`);
  const { events } = dataOf<{ events: { to: string | null }[] }>(body);
  expect(events.find(({ to }) => to === 'cancelled')).toMatchObject({
    action: 'call.status_changed',
    actor: 'api_key',
    actorId: expect.stringMatching(/^key_/),
    from: 'active',
    reason: 'why',
    cancellationId: id,
  });
});

test('a cancellation by ids counts ended calls, unknown ids and ids of another organization', async () => {
  const ids = await insertCalls('by-ids', [
    {},
    { status: 'ringing' },
    { status: 'completed', endedAt: 99_999 },
  ]);
  const theirs = await hangup.createKey('other-ids');
  const created = await hangup.send('POST', '/api/v1/calls', { key: theirs, body: {} });
  const { id: theirCall } = dataOf<{ id: string }>(created.body);
  const cancellation = await stopCompletely({ callIds: [...ids, ...ids, 'unknown', '..', theirCall] });
  expect(cancellation).toMatchObject({
    selector: { callIds: [...ids, 'unknown', '..', theirCall] },
    counts: {
      matched: 3,
      cancelled: 2,
      alreadyEnded: 1,
      notFound: 3,
      rooms: { deleted: 2, pending: 0, discarded: 0 },
    },
  });
  expect(await hangup.send('GET', `/api/v1/calls/${theirCall}`, { key: theirs })).toMatchObject({
    body: { data: { status: 'initiated' } },
  });
});

test('`all` cancels every live call of the organization, and no other call', async () => {
  const own = await hangup.createKey('all-of-them');
  const other = await hangup.createKey('not-them');
  const create = async (key: string) =>
    dataOf<{ id: string }>((await hangup.send('POST', '/api/v1/calls', { key, body: {} })).body).id;
  const ids = [await create(own), await create(own)];
  const theirs = await create(other);
  const started = await stop({ all: true }, { key: own });
  const { id } = dataOf<Cancellation>(started.body);
  await expect
    .poll(() => hangup.send('GET', `${PATH}/${id}`, { key: own }), WAIT)
    .toMatchObject({ body: { data: { state: 'completed', counts: { cancelled: 2 } } } });
  for (const callId of ids) {
    expect(await hangup.send('GET', `/api/v1/calls/${callId}`, { key: own })).toMatchObject({
      body: { data: { status: 'cancelled' } },
    });
  }
  expect(await hangup.send('GET', `/api/v1/calls/${theirs}`, { key: other })).toMatchObject({
    body: { data: { status: 'initiated' } },
  });
  const theirView = { status: 404, body: { error: { message: 'Cancellation not found', code: 404 } } };
  expect(await hangup.send('GET', `${PATH}/${id}`, { key: other })).toMatchObject(theirView);
  expect(await hangup.send('DELETE', `${PATH}/${id}/hold`, { key: other })).toMatchObject(theirView);
  expect(await hangup.send('GET', PATH, { key: other })).toMatchObject({
    body: { data: { cancellations: [] } },
  });
});

describe('a dry run', () => {
  test('returns the matching calls by status and a sample, and changes nothing', async () => {
    const [ringing = '', active = ''] = await insertCalls('dry', [{ status: 'ringing' }, {}]);
    expect(await stop({ filter: { agentId: 'dry' }, dryRun: true })).toMatchObject({
      status: 200,
      body: {
        data: {
          dryRun: true,
          matched: { initiated: 0, connecting: 0, ringing: 1, active: 1, total: 2 },
          sample: [
            { id: ringing, status: 'ringing', agent: { id: 'dry' } },
            { id: active, status: 'active' },
          ],
        },
      },
    });
    expect(await stop({ callIds: [active, 'unknown'], dryRun: true })).toMatchObject({
      body: { data: { matched: { active: 1, total: 1 }, sample: [{ id: active }] } },
    });
    expect(await statusOf(active)).toBe('active');
  });

  test('has a sample of at most 100 calls, and no message', async () => {
    await insertCalls(
      'sampled',
      Array.from({ length: 101 }, () => ({})),
    );
    const { body } = await stop({ filter: { agentId: 'sampled' }, dryRun: true });
    expect(Object.keys(body as object)).toEqual(['data']);
    const { sample, matched } = dataOf<{ sample: unknown[]; matched: { total: number } }>(body);
    expect({ sample: sample.length, total: matched.total }).toEqual({ sample: 100, total: 101 });
  });
});

describe('expectedAtMost', () => {
  test('refuses a cancellation of more calls, and changes nothing', async () => {
    const [callId = ''] = await insertCalls('expected', [{}, {}]);
    const before = await hangup.send('GET', PATH);
    const refusal = {
      status: 412,
      body: { error: { message: 'Matches 2 calls, more than expectedAtMost: 1', code: 412 } },
    };
    expect(await stop({ filter: { agentId: 'expected' }, expectedAtMost: 1 })).toMatchObject(refusal);
    expect(await stop({ filter: { agentId: 'expected' }, expectedAtMost: 1, dryRun: true })).toMatchObject(
      refusal,
    );
    expect(await statusOf(callId)).toBe('active');
    expect((await hangup.send('GET', PATH)).body).toEqual(before.body);
  });

  test('accepts a cancellation of exactly as many calls', async () => {
    await insertCalls('expected-2', [{}, {}]);
    expect(await stopCompletely({ filter: { agentId: 'expected-2' }, expectedAtMost: 2 })).toMatchObject({
      counts: { cancelled: 2 },
    });
  });
});

describe('a hold', () => {
  test('refuses new calls that match until it is lifted', async () => {
    const { id } = await stopCompletely({ filter: { agentId: 'held' }, hold: true });
    const create = (agentId: string) => hangup.send('POST', '/api/v1/calls', { body: { agentId } });
    expect(await create('held')).toMatchObject({
      status: 409,
      body: { error: { message: `Call is held by cancellation ${id}`, code: 409 } },
    });
    expect(await create('not-held')).toMatchObject({ status: 201 });
    const lifted = await hangup.send('DELETE', `${PATH}/${id}/hold`);
    expect(lifted).toMatchObject({
      status: 200,
      body: { message: 'Hold lifted', data: { id, hold: { state: 'lifted' } } },
    });
    expect(await create('held')).toMatchObject({ status: 201 });
    expect((await hangup.send('DELETE', `${PATH}/${id}/hold`)).body).toEqual(lifted.body);
  });

  test('cancels a call that starts to match through an event', async () => {
    await hangup.insertCall({ id: 'starts-to-match', agentId: 'by-status', status: 'ringing' });
    const { id } = await stopCompletely({
      filter: { agentId: 'by-status', status: ['active'] },
      hold: true,
    });
    expect(await statusOf('starts-to-match')).toBe('ringing');
    const room = roomWebhooks('starts-to-match');
    await postWebhook(hangup.url, room.started());
    await postWebhook(hangup.url, room.joined(AGENT));
    await postWebhook(hangup.url, room.joined(HUMAN));
    await expect
      .poll(() => hangup.send('GET', '/api/v1/calls/starts-to-match'), WAIT)
      .toMatchObject({ body: { data: { status: 'cancelled', cancellationId: id } } });
  });

  test('of 1,000 registrations at once, none is alive and matching at the end', async () => {
    const other = await startHangup();
    onTestFinished(() => other.stop());
    const register = () => other.send('POST', '/api/v1/calls', { body: { agentId: 'raced' } });
    const registrations = Array.from({ length: 500 }, register);
    const started = other.send('POST', PATH, {
      body: { filter: { agentId: 'raced' }, hold: true, reason: 'race' },
    });
    registrations.push(...Array.from({ length: 500 }, register));
    const { id } = dataOf<Cancellation>((await started).body);
    const statuses = Map.groupBy(await Promise.all(registrations), ({ status }) => status);
    const accepted = statuses.get(201)?.length ?? 0;
    expect(accepted + (statuses.get(409)?.length ?? 0)).toBe(1_000);
    await expect.poll(() => read(id, other).then(({ state }) => state), WAIT).toBe('completed');
    const live = await other.send(
      'GET',
      '/api/v1/calls?agentId=raced&status=initiated&status=connecting&status=ringing&status=active',
    );
    expect(live).toMatchObject({ body: { data: { pagination: { total: 0 } } } });
    expect((await read(id, other)).counts).toMatchObject({
      cancelled: accepted,
      rooms: { deleted: accepted, pending: 0, discarded: 0 },
    });
  });
});

describe('a bad request gets a clear error, and changes nothing', () => {
  const cases: [body: object, message: string][] = [
    [{}, 'filter: expected exactly one of filter, callIds and all'],
    [{ all: true, callIds: ['a'] }, 'filter: expected exactly one of filter, callIds and all'],
    [
      { filter: {} },
      'filter: expected at least one of agentId, status, direction, phoneNumber, startDate, endDate; for every call, send "all": true instead',
    ],
    [{ filter: { agent: 'a' } }, 'filter: Unrecognized key: "agent"'],
    [{ all: true, force: true }, 'Unrecognized key: "force"'],
    [{ all: false }, 'all: Invalid input: expected true'],
    [{ callIds: [] }, 'callIds: Too small: expected array to have >=1 items'],
    [
      { callIds: Array.from({ length: 10_001 }, (_, i) => `c${i}`) },
      'callIds: Too big: expected array to have <=10000 items',
    ],
    [
      { filter: { status: ['completed'] } },
      'filter.status.0: Invalid option: expected one of "initiated"|"connecting"|"ringing"|"active"',
    ],
    [{ callIds: ['a'], hold: true }, 'hold: cannot be combined with callIds, which no new call matches'],
    [{ all: true, expectedAtMost: -1 }, 'expectedAtMost: Too small: expected number to be >=0'],
    [
      { filter: { startDate: '2026-12-01', endDate: '2026-01-01' } },
      'filter.endDate: must not be before startDate',
    ],
    [{ all: true, reason: ' ' }, 'reason: must not be blank'],
    [{ all: true, reason: '' }, 'reason: Too small: expected string to have >=1 characters'],
    [{ all: true, reason: undefined }, 'reason: Invalid input: expected string, received undefined'],
  ];
  test.each(cases)('%j', async (body, message) => {
    const [callId = ''] = await insertCalls(`bad-${cases.findIndex(([one]) => one === body)}`, [{}]);
    const refused = await stop(body);
    expect(refused.body).toEqual({ error: { message, code: 400 } });
    expect(refused.status).toBe(400);
    expect(await statusOf(callId)).toBe('active');
  });
});

test('10,000 ids of 128 characters fit into a request', async () => {
  const callIds = Array.from({ length: 10_000 }, (_, i) => String(i).padStart(128, 'x'));
  const { counts } = await stopCompletely({ callIds });
  expect(counts).toMatchObject({ matched: 0, notFound: 10_000 });
});

test('the scope calls:stop is required', async () => {
  const key = await hangup.createKey('acme', ['calls:read', 'calls:write', 'calls:cancel']);
  const refusal = {
    status: 403,
    body: { error: { message: 'Access denied - API key lacks scope: calls:stop', code: 403 } },
  };
  expect(await stop({ all: true }, { key })).toMatchObject(refusal);
  expect(await hangup.send('GET', PATH, { key })).toMatchObject(refusal);
  expect(await hangup.send('GET', `${PATH}/can_1`, { key })).toMatchObject(refusal);
  expect(await hangup.send('DELETE', `${PATH}/can_1/hold`, { key })).toMatchObject(refusal);
});

test('pages list each cancellation once, the newest first', async () => {
  const key = await hangup.createKey('pages');
  const started: { id: string; createdAt: string }[] = [];
  for (let i = 0; i < 5; i += 1) started.push(dataOf((await stop({ all: true }, { key })).body));
  // Those of the same millisecond are in order of their ids.
  const sortKey = ({ createdAt, id }: { createdAt: string; id: string }) => `${createdAt} ${id}`;
  const ids = started.toSorted((a, b) => (sortKey(a) < sortKey(b) ? 1 : -1)).map(({ id }) => id);
  const listed: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const { body } = await hangup.send('GET', `${PATH}?limit=2${cursor && `&cursor=${cursor}`}`, { key });
    const page: { cancellations: Cancellation[]; pagination: { nextCursor: string | null } } = dataOf(body);
    listed.push(...page.cancellations.map(({ id }) => id));
    cursor = page.pagination.nextCursor;
  }
  expect(listed).toEqual(ids);
});

test('while LiveKit is away, calls are cancelled on record; the rooms are deleted when it is back', async () => {
  const livekit = await startEmulated({});
  const other = await startHangup({ livekit });
  onTestFinished(() => other.stop());
  await other.insertCall({ id: 'away', status: 'active' });
  await livekit.join('away', 'caller');
  livekit.emulator.setFault('*', { kind: 'status503' });
  const started = await other.send('POST', PATH, { body: { all: true, reason: 'outage' } });
  const { id } = dataOf<Cancellation>(started.body);
  await expect
    .poll(() => read(id, other), WAIT)
    .toMatchObject({ state: 'running', counts: { cancelled: 1, rooms: { pending: 1 } } });
  expect((await other.store.findCall('away'))?.call.status).toBe('cancelled');
  expect(await livekit.roomNames()).toEqual(['away']);
  livekit.emulator.setFault('*', null);
  await expect
    .poll(() => read(id, other), WAIT)
    .toMatchObject({ state: 'completed', counts: { rooms: { deleted: 1, pending: 0 } } });
  expect(await livekit.roomNames()).toEqual([]);
});
