import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { WAIT } from '../harness/time.ts';
import { postWebhook, roomWebhooks } from '../harness/webhooks.ts';

/* Agents, room deletions, and rooms in the list of calls. */

const HOUR_MS = 3_600_000;

let hangup: Hangup;
/** A key of another organization, with all scopes. */
let stranger: string;
beforeAll(async () => {
  // A deletion that is due later than the longest delay would be due at once.
  const retry = { initialDelayMs: 20, maxDelayMs: HOUR_MS, maxAgeMs: 24 * HOUR_MS };
  hangup = await startHangup({ settings: { retry } });
  stranger = await hangup.createKey('other');
});
afterAll(() => hangup.stop());

const get = async <Data>(path: string, key?: string) => {
  const { status, body } = await hangup.send('GET', `/api/v1${path}`, key === undefined ? {} : { key });
  expect(status).toBe(200);
  return (body as { data: Data }).data;
};

interface Listed {
  calls: { id: string; room?: { name: string; participants: { identity: string; role: string }[] } }[];
  pagination: { nextCursor: string | null; total: number };
}

describe('GET /calls?include=room', () => {
  test('adds the participants on record, and nothing without include', async () => {
    await hangup.insertCall({ id: 'seen', roomName: 'seen-room', status: 'initiated', agentId: 'seen' });
    const webhooks = roomWebhooks('seen-room');
    const caller = { sid: 'PA_1', identity: 'caller' };
    const agent = { sid: 'PA_2', identity: 'agent-1', kind: 'AGENT' } as const;
    for (const body of [webhooks.started(), webhooks.joined(caller), webhooks.joined(agent)]) {
      expect(await postWebhook(hangup.url, body)).toMatchObject({ status: 200 });
    }
    const rooms = async () =>
      (await get<Listed>('/calls?agentId=seen&include=room')).calls.map(({ room }) => room);
    expect(await rooms()).toEqual([
      {
        name: 'seen-room',
        participants: expect.arrayContaining([
          { identity: 'agent-1', role: 'agent', joinedAt: expect.stringMatching(/Z$/) },
          { identity: 'caller', role: 'person', joinedAt: expect.stringMatching(/Z$/) },
        ]),
      },
    ]);
    const [plain] = (await get<Listed>('/calls?agentId=seen')).calls;
    expect(Object.keys(plain ?? {})).not.toContain('room');
    await hangup.send('DELETE', '/api/v1/calls/seen');
    expect(await rooms()).toEqual([{ name: 'seen-room', participants: [] }]);
  });

  test('keeps the pages of the list', async () => {
    for (const id of ['page-1', 'page-2', 'page-3']) await hangup.insertCall({ id, agentId: 'pages' });
    const first = await get<Listed>('/calls?agentId=pages&include=room&limit=2');
    expect(first.calls.map(({ id, room }) => [id, room?.name])).toEqual([
      ['page-3', 'page-3'],
      ['page-2', 'page-2'],
    ]);
    const { nextCursor } = first.pagination;
    const next = await get<Listed>(`/calls?agentId=pages&include=room&limit=2&cursor=${nextCursor}`);
    expect(next.calls.map(({ id }) => id)).toEqual(['page-1']);
  });

  test('leaves out parts of a roster that another program wrote', async () => {
    await hangup.insertCall({ id: 'strange', agentId: 'strange' });
    const members = [
      null,
      7,
      { identity: 5, role: 'agent', noticedAt: 1 },
      { identity: 'x', role: 'king', noticedAt: 1 },
      { identity: 'y', role: 'agent', noticedAt: 1e300 },
      { identity: 'recorder', role: 'recorder', noticedAt: 1 },
      { identity: 'gone', role: 'person', noticedAt: 1, departure: { at: 2 } },
      { identity: '<b>', role: 'phone', joinedAt: 'now', noticedAt: 1_000 },
    ];
    const expected = [{ identity: '<b>', role: 'phone', joinedAt: '1970-01-01T00:00:01.000Z' }];
    for (const [roster, participants] of [
      [{ members }, expected],
      [{ members: {} }, []],
      [[], []],
      ['text', []],
      [null, []],
    ] as const) {
      await hangup.sql(`UPDATE calls SET roster = '${JSON.stringify(roster)}' WHERE id = 'strange'`);
      expect((await get<Listed>('/calls?agentId=strange&include=room')).calls).toMatchObject([
        { room: { name: 'strange', participants } },
      ]);
    }
  });

  test.each(['include=rooms', 'include=room&include=room', 'include='])('%s is a 400', async (query) => {
    expect(await hangup.send('GET', `/api/v1/calls?${query}`)).toMatchObject({ status: 400 });
  });
});

interface SearchDocument {
  paths: { '/call-search': { get: { parameters: { name: string; schema: { pattern?: string } }[] } } };
}

describe('GET /call-search', () => {
  const search = async (query: string, key?: string) =>
    (await get<Listed>(`/call-search?${query}`, key)).calls.map(({ id, room }) => [id, room?.name]);

  beforeAll(async () => {
    const parts = { agentId: 'searched', status: 'completed', endedAt: 9_000 } as const;
    await hangup.insertCall({ id: 'find-1', phoneNumber: '+15550009911', createdAt: 1_000, ...parts });
    await hangup.insertCall({ id: 'find-2', roomName: 'lobby-9', createdAt: 2_000, ...parts });
    await hangup.insertCall({ id: 'find-3', phoneNumber: '+49991115550009', createdAt: 3_000, ...parts });
  });

  test('finds calls by id, room and phone number, newest first, with their rooms', async () => {
    expect(await search('text=find-')).toEqual([
      ['find-3', 'find-3'],
      ['find-2', 'lobby-9'],
      ['find-1', 'find-1'],
    ]);
    expect(await search('text=find-&limit=1')).toEqual([['find-3', 'find-3']]);
    expect(await search('text=lobby')).toEqual([['find-2', 'lobby-9']]);
    expect(await search('text=9911')).toEqual([['find-1', 'find-1']]);
    expect(await search('text=5550009')).toEqual([['find-3', 'find-3']]);
    for (const encoded of ['%2B1555000', '+1555000', '1555000', '%2B1%20(555)%20000']) {
      expect(await search(`text=${encoded}`), encoded).toEqual([['find-1', 'find-1']]);
    }
    expect(await search('text=FIND-')).toEqual([]);
  });

  test('finds no call of another organization', async () => {
    expect(await search('text=find-1', stranger)).toEqual([]);
    expect(await search('text=9911', stranger)).toEqual([]);
  });

  test.each(['', 'text=ab', 'text=%20%20a%20', 'text=a%00bc', 'text=abc&limit=101', 'text=abc&text=abd'])(
    '%s is a 400',
    async (query) => {
      expect(await hangup.send('GET', `/api/v1/call-search?${query}`)).toMatchObject({ status: 400 });
    },
  );

  test.each(['\u00A0\u00A0Ğ🏻', '\u3000ab\uFEFF', '  ', '🏻🏻'])(
    '%j has too few characters',
    async (text) => {
      expect(await hangup.send('GET', `/api/v1/call-search?text=${encodeURIComponent(text)}`)).toMatchObject({
        status: 400,
        body: { error: { message: 'text: must have at least 3 characters besides white space at its ends' } },
      });
    },
  );

  test('the document has the pattern of the text', async () => {
    const { body } = await hangup.send('GET', '/openapi.json');
    const { parameters } = (body as SearchDocument).paths['/call-search'].get;
    const pattern = new RegExp(parameters.find(({ name }) => name === 'text')?.schema.pattern ?? '', 'u');
    for (const text of ['\u00A0\u00A0Ğ🏻', '\u3000ab\uFEFF', '   ', 'a\0c'])
      expect(text).not.toMatch(pattern);
    for (const text of ['abc', ' a b ', '🏻🏻🏻', '\u3000Ğ🏻a\uFEFF']) expect(text).toMatch(pattern);
  });

  test('needs the scope calls:read', async () => {
    const key = await hangup.createKey('acme', ['calls:cancel']);
    expect(await hangup.send('GET', '/api/v1/call-search?text=abc', { key })).toMatchObject({ status: 403 });
  });
});

describe('GET /agents', () => {
  interface Agents {
    agents: { id: string | null; name: string | null; liveCalls: number }[];
  }

  test('counts the live calls of each agent of the organization, most calls first', async () => {
    const key = await hangup.createKey('counted', ['calls:read', 'calls:write', 'calls:cancel']);
    for (const [id, agentId, agentName] of [
      ['agents-1', 'a', 'Ann'],
      ['agents-2', 'b', 'Old'],
      ['agents-3', 'b', 'Ben'],
      ['agents-4', 'b', 'Ben'],
      ['agents-5', undefined, undefined],
    ] as const) {
      const body = { id, agentId, agentName };
      expect(await hangup.send('POST', '/api/v1/calls', { key, body })).toMatchObject({ status: 201 });
    }
    await hangup.send('DELETE', '/api/v1/calls/agents-2', { key });
    expect((await get<Agents>('/agents', key)).agents).toEqual([
      { id: 'b', name: 'Ben', liveCalls: 2 },
      { id: null, name: null, liveCalls: 1 },
      { id: 'a', name: 'Ann', liveCalls: 1 },
    ]);
    expect((await get<Agents>('/agents', stranger)).agents).toEqual([]);
  });

  test('needs the scope calls:read', async () => {
    const key = await hangup.createKey('acme', ['calls:cancel']);
    expect(await hangup.send('GET', '/api/v1/agents', { key })).toMatchObject({ status: 403 });
  });
});

interface Deletions {
  roomDeletions: { callId: string; state: string; nextAttemptAt: string | null; lastError: string | null }[];
  pagination: { limit: number; hasMore: boolean; nextCursor: string | null };
}

/** Records a deletion of an ended call. An open one is due in half an hour. */
async function insertDeletion(
  callId: string,
  {
    state,
    createdAt = 1,
    lastError = 'unavailable',
  }: { state: string; createdAt?: number; lastError?: string },
): Promise<void> {
  await hangup.insertCall({ id: callId, status: 'cancelled', endedAt: 2_000 });
  const isFinal = state === 'completed' || state === 'discarded';
  await hangup.sql(`INSERT INTO room_deletions
    (call_id, room_name, state, attempt, scheduled_at, attempted_at, finalized_at, last_error, created_at)
    VALUES ('${callId}', '${callId}', '${state}', 3, ${Date.now() + HOUR_MS / 2}, 1, ${isFinal ? 5 : 'NULL'}, '${lastError}', ${createdAt})`);
}

describe('GET /room-deletions', () => {
  beforeAll(async () => {
    await insertDeletion('list-c', { state: 'retryable', createdAt: 30 });
    await insertDeletion('list-a', { state: 'discarded', createdAt: 10 });
    await insertDeletion('list-b', { state: 'retryable', createdAt: 10 });
    await insertDeletion('list-d', { state: 'completed', createdAt: 5 });
  });
  const list = (query = '', key?: string) => get<Deletions>(`/room-deletions${query}`, key);
  const idsOf = ({ roomDeletions }: Deletions) => roomDeletions.map(({ callId }) => callId);

  test('lists open and discarded deletions, oldest first, in pages', async () => {
    const first = await list('?limit=2');
    expect(first.roomDeletions).toEqual([
      {
        callId: 'list-a',
        roomName: 'list-a',
        state: 'discarded',
        attempt: 3,
        lastError: 'unavailable',
        createdAt: '1970-01-01T00:00:00.010Z',
        nextAttemptAt: null,
        cancellationId: null,
      },
      expect.objectContaining({
        callId: 'list-b',
        state: 'retryable',
        nextAttemptAt: expect.stringMatching(/Z$/),
      }),
    ]);
    const rest = await list(`?limit=2&cursor=${first.pagination.nextCursor}`);
    expect(idsOf(rest)).toEqual(['list-c']);
    expect(rest.pagination).toEqual({ limit: 2, hasMore: false, nextCursor: null });
  });

  test('filters by state and by cancellation', async () => {
    expect(idsOf(await list('?state=discarded'))).toEqual(['list-a']);
    expect(idsOf(await list('?state=retryable&state=discarded'))).toEqual(['list-a', 'list-b', 'list-c']);
    expect(idsOf(await list('?cancellationId=can_none'))).toEqual([]);
    await hangup.sql("UPDATE room_deletions SET cancellation_id = 'can_1' WHERE call_id = 'list-b'");
    expect(idsOf(await list('?cancellationId=can_1'))).toEqual(['list-b']);
  });

  test('shows no deletion of another organization', async () => {
    expect(await list('', stranger)).toEqual({
      roomDeletions: [],
      pagination: { limit: 50, hasMore: false, nextCursor: null },
    });
  });

  test.each(['state=completed', 'limit=0', 'limit=101', 'cursor=x', 'cursor=WzEsMl0'])(
    '%s is a 400',
    async (query) => {
      expect(await hangup.send('GET', `/api/v1/room-deletions?${query}`)).toMatchObject({ status: 400 });
    },
  );

  test('needs the scope calls:read', async () => {
    const key = await hangup.createKey('acme', ['calls:cancel']);
    expect(await hangup.send('GET', '/api/v1/room-deletions', { key })).toMatchObject({ status: 403 });
  });
});

describe('POST /calls/{callId}/room-deletion/retry', () => {
  const retry = (callId: string, options: Parameters<Hangup['send']>[2] = {}) =>
    hangup.send('POST', `/api/v1/calls/${callId}/room-deletion/retry`, { body: {}, ...options });
  const stateOf = async (callId: string) =>
    (await get<{ roomDeletion: { state: string } | null }>(`/calls/${callId}`)).roomDeletion?.state;

  test('deletes the room of a discarded deletion, at once', async () => {
    await insertDeletion('given-up', { state: 'discarded' });
    await hangup.livekit.join('given-up', 'caller');
    const answer = await retry('given-up');
    expect(answer).toMatchObject({
      status: 200,
      body: {
        message: 'Room deletion is due',
        data: { callId: 'given-up', state: 'available', attempt: 0, cancellationId: null },
      },
    });
    await expect.poll(() => stateOf('given-up'), WAIT).toBe('completed');
    expect(await hangup.livekit.roomNames()).not.toContain('given-up');
    const { events } = await get<{ events: { action: string; actor: string; reason: string }[] }>(
      '/calls/given-up/events',
    );
    expect(events).toContainEqual(
      expect.objectContaining({
        action: 'call.room_deletion_reopened',
        actor: 'api_key',
        reason: 'the deletion was discarded',
      }),
    );
    await expect
      .poll(() => hangup.log)
      .toContainEqual(
        expect.objectContaining({ message: 'room deletion retried at the request of an API key' }),
      );
  });

  test('brings an open deletion forward', async () => {
    await insertDeletion('late', { state: 'retryable' });
    expect(await retry('late')).toMatchObject({ status: 200 });
    await expect.poll(() => stateOf('late'), WAIT).toBe('completed');
  });

  test('is a 409 for a deleted room', async () => {
    await insertDeletion('deleted', { state: 'completed' });
    expect(await retry('deleted')).toMatchObject({
      status: 409,
      body: { error: { message: 'Room is already deleted' } },
    });
  });

  test('is a 404 without a deletion, for an unknown id, and for a call of another organization', async () => {
    await hangup.insertCall({ id: 'alive', status: 'active' });
    await insertDeletion('foreign', { state: 'discarded' });
    for (const answer of [
      await retry('alive'),
      await retry('unknown'),
      await retry('a b'),
      await retry('foreign', { key: stranger }),
    ]) {
      expect(answer).toMatchObject({ status: 404, body: { error: { message: 'Room deletion not found' } } });
    }
    expect(await stateOf('foreign')).toBe('discarded');
  });

  test('runs once under an Idempotency-Key', async () => {
    await insertDeletion('repeated', { state: 'discarded' });
    const headers = { 'idempotency-key': 'retry-1' };
    const first = await retry('repeated', { headers });
    await expect.poll(() => stateOf('repeated'), WAIT).toBe('completed');
    const again = await retry('repeated', { headers });
    expect(again).toMatchObject({ status: 200, body: first.body });
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(await retry('given-up', { headers })).toMatchObject({ status: 422 });
  });

  test('needs the scope calls:cancel', async () => {
    const key = await hangup.createKey('acme', ['calls:read', 'calls:write', 'calls:stop']);
    expect(await retry('late', { key })).toMatchObject({ status: 403 });
  });
});

describe('GET /health', () => {
  test('returns the state of the process and counts of the organization', async () => {
    const key = await hangup.createKey('healthy');
    for (const id of ['health-1', 'health-2', 'health-3']) {
      expect(await hangup.send('POST', '/api/v1/calls', { key, body: { id } })).toMatchObject({
        status: 201,
      });
    }
    expect(await hangup.send('DELETE', '/api/v1/calls/health-1', { key })).toMatchObject({ status: 200 });
    await hangup.sql(
      `UPDATE room_deletions SET state = 'discarded', finalized_at = 5 WHERE call_id = 'health-1'`,
    );
    expect(await get('/health', key)).toEqual({
      livekit: { state: 'up', since: expect.stringMatching(/Z$/) },
      lastWebhookAt: expect.stringMatching(/Z$/),
      liveCalls: { initiated: 2, connecting: 0, ringing: 0, active: 0, total: 2 },
      roomDeletions: { open: 0, discarded: 1, oldestOpenAt: null },
      cancellations: { running: 0, activeHolds: 0 },
      store: process.env.TEST_STORE === 'postgres' ? 'postgres' : 'sqlite',
      version: expect.any(String),
      startedAt: expect.stringMatching(/Z$/),
    });
    expect(await get('/health', await hangup.createKey('idle'))).toMatchObject({
      liveCalls: { total: 0 },
      roomDeletions: { open: 0, discarded: 0, oldestOpenAt: null },
    });
  });

  test('needs the scope calls:read', async () => {
    const key = await hangup.createKey('acme', ['calls:cancel']);
    for (const path of ['/health', '/health/history']) {
      expect(await hangup.send('GET', `/api/v1${path}`, { key })).toMatchObject({ status: 403 });
    }
  });
});

test('GET /health/history has a point from the start, with a value in each series', async () => {
  const { times, series } = await get<{ times: string[]; series: Record<string, unknown[]> }>(
    '/health/history',
  );
  expect(times.length).toBeGreaterThan(0);
  expect(new Set(Object.keys(series))).toEqual(
    new Set([
      'cancelsPerMinute',
      'deletionsPerMinute',
      'failedDeletionsPerMinute',
      'liveCalls',
      'livekitRequestMs',
      'openDeletions',
      'requestsPerSecond',
    ]),
  );
  for (const values of Object.values(series)) expect(values).toHaveLength(times.length);
});

describe('GET /health/findings', () => {
  interface Findings {
    findings: { check: string; level: string; message: string; advice: string | null }[];
    checkedAt: string;
  }

  test('returns the findings of hangup doctor, and the same ones within a minute', async () => {
    const first = await get<Findings>('/health/findings');
    expect(first.findings.map(({ check }) => check)).toEqual(
      expect.arrayContaining(['settings', 'livekit', 'credentials', 'deletions', 'webhooks']),
    );
    expect(await get<Findings>('/health/findings')).toEqual(first);
  });

  test('needs the scope admin', async () => {
    const key = await hangup.createKey('acme', ['calls:read', 'calls:stop']);
    expect(await hangup.send('GET', '/api/v1/health/findings', { key })).toMatchObject({ status: 403 });
  });
});
