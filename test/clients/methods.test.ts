import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Cancellation,
  type Hangup as Client,
  createHangup,
} from '../../clients/typescript/src/index.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';

let server: Hangup;
let hangup: Client;
beforeAll(async () => {
  server = await startHangup();
  hangup = createHangup({ url: server.url, apiKey: server.key });
});
afterAll(() => server.stop());

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

test('create resolves to the details, and a repeat with the same key to the same call', async () => {
  const input = {
    id: 'created',
    agentId: 'receptionist',
    phoneNumber: '+15551234567',
    contact: { name: 'Ada' },
    metadata: { campaign: 'autumn' },
  };
  const call = await hangup.calls.create(input, { idempotencyKey: 'create-1' });
  expect(call).toMatchObject({
    id: 'created',
    status: 'initiated',
    roomName: 'created',
    metadata: input.metadata,
  });
  expect(await hangup.calls.create(input, { idempotencyKey: 'create-1' })).toEqual(call);
  await expect(hangup.calls.create(input)).rejects.toMatchObject({ status: 409, code: 'conflict' });
  expect(await hangup.calls.create()).toMatchObject({ direction: 'outbound' });
});

test('get returns the details with the room of a live call', async () => {
  await hangup.calls.create({ id: 'live' });
  await server.livekit.join('live', 'phone');
  await expect
    .poll(async () =>
      (await hangup.calls.get('live')).liveRoomStatus?.participants.map(({ identity }) => identity),
    )
    .toEqual(['phone']);
});

test('cancel resolves to the id and the status, and the call has the reason', async () => {
  await hangup.calls.create({ id: 'cancelled' });
  const reason = 'caller request: "now" & +49 ü';
  expect(await hangup.calls.cancel('cancelled', { reason })).toEqual({
    id: 'cancelled',
    status: 'cancelled',
  });
  expect(await hangup.calls.get('cancelled')).toMatchObject({ status: 'cancelled', cancelReason: reason });
  await expect(hangup.calls.cancel('cancelled')).rejects.toMatchObject({
    status: 400,
    code: 'bad_request',
    message: 'Cannot cancel call with status: cancelled',
  });
});

test('apiKeys.current returns the scopes of the key of the client', async () => {
  expect(await hangup.apiKeys.current()).toMatchObject({
    organization: 'acme',
    scopes: ['calls:read', 'calls:write', 'calls:cancel', 'calls:stop', 'admin'],
  });
});

test('apiKeys creates, lists and revokes keys', async () => {
  const created = await hangup.apiKeys.create({ name: 'dashboard', scopes: ['calls:read'] });
  const dashboard = createHangup({ url: server.url, apiKey: created.key });
  expect(await dashboard.apiKeys.current()).toMatchObject({ name: 'dashboard', scopes: ['calls:read'] });
  const { apiKeys } = await hangup.apiKeys.list();
  expect(apiKeys.find(({ id }) => id === created.id)).toMatchObject({ name: 'dashboard', isCurrent: false });
  expect(await hangup.apiKeys.revoke(created.id)).toMatchObject({ revokedAt: expect.any(String) });
  await expect(dashboard.apiKeys.current()).rejects.toMatchObject({ code: 'unauthorized' });
  await expect(hangup.apiKeys.revoke('key_none')).rejects.toMatchObject({ code: 'not_found' });
});

test('apiKeys.create is not repeated, because each request makes a key', async () => {
  let requests = 0;
  const failing = createHangup({
    url: server.url,
    apiKey: server.key,
    maxAttempts: 5,
    retryDelayMs: () => 1,
    fetch: async () => {
      requests += 1;
      return new Response('{"error":{"message":"Service unavailable","code":503}}', { status: 503 });
    },
  });
  await expect(failing.apiKeys.create({ name: 'x', scopes: ['calls:read'] })).rejects.toMatchObject({
    status: 503,
  });
  expect(requests).toBe(1);
  await expect(failing.adoption.add('x')).rejects.toMatchObject({ status: 503 });
  expect(requests).toBe(6);
});

test('adoption adds, lists and removes prefixes, with any characters', async () => {
  for (const prefix of ['support-', 'a/b %2F ü?#', '...']) {
    expect(await hangup.adoption.add(prefix)).toMatchObject({ prefix });
    expect((await hangup.adoption.list()).adoptionPrefixes).toMatchObject([{ prefix }]);
    expect(await hangup.adoption.remove(prefix)).toEqual({ prefix });
  }
  await expect(hangup.adoption.remove('support-')).rejects.toMatchObject({ code: 'not_found' });
});

test('events lists the changes of a call in pages', async () => {
  await hangup.calls.create({ id: 'changed' });
  await hangup.calls.cancel('changed');
  const first = await hangup.calls.events('changed', { limit: 1 });
  expect(first.events).toMatchObject([{ action: 'call.created' }]);
  const cursor = first.pagination.nextCursor ?? undefined;
  expect((await hangup.calls.events('changed', { cursor })).events).toMatchObject([{ to: 'cancelled' }]);
});

test('list returns a page, and listAll the calls of all pages, each of them once', async () => {
  // Calls of the same millisecond are in the order of their ids.
  const ids = Array.from({ length: 23 }, (_, index) => `page-${String(index).padStart(2, '0')}`);
  for (const id of ids) await hangup.calls.create({ id, agentId: 'pages', direction: 'inbound' });
  const page = await hangup.calls.list({ agentId: 'pages', status: ['initiated', 'active'], limit: 10 });
  expect(page.pagination).toMatchObject({ total: 23, hasMore: true });
  expect(page.calls).toHaveLength(10);
  const all = await collect(hangup.calls.listAll({ agentId: 'pages', limit: 10 }));
  expect(all.map(({ id }) => id)).toEqual(ids.toReversed());
  const oldest = await collect(hangup.calls.listAll({ agentId: 'pages', sortOrder: 'asc' }));
  expect(oldest.map(({ id }) => id)).toEqual(ids);
  expect(await collect(hangup.calls.listAll({ agentId: 'nobody' }))).toEqual([]);
});

test('a loop over listAll that ends early reads no further page', async () => {
  let requests = 0;
  const counting = createHangup({
    url: server.url,
    apiKey: server.key,
    fetch: (url, init) => {
      requests += 1;
      return fetch(url, init);
    },
  });
  for await (const { agent } of counting.calls.listAll({ limit: 2 })) {
    expect(agent).toBeDefined();
    break;
  }
  expect(requests).toBe(1);
});

test('a cancellation is previewed, created, read, listed and awaited, and its hold is lifted', async () => {
  const agentId = 'wrong-advice';
  for (const id of ['wrong-1', 'wrong-2']) await hangup.calls.create({ id, agentId });
  const input = { filter: { agentId }, reason: 'gives wrong advice', hold: true };
  const preview = await hangup.cancellations.preview(input);
  expect(preview.matched).toEqual({ initiated: 2, connecting: 0, ringing: 0, active: 0, total: 2 });
  expect(preview.sample.map(({ id }) => id).toSorted()).toEqual(['wrong-1', 'wrong-2']);
  expect((await hangup.calls.get('wrong-1')).status).toBe('initiated');
  await expect(hangup.cancellations.create({ ...input, expectedAtMost: 1 })).rejects.toMatchObject({
    status: 412,
    code: 'precondition_failed',
    message: 'Matches 2 calls, more than expectedAtMost: 1',
  });

  const created = await hangup.cancellations.create(
    { ...input, expectedAtMost: 2 },
    { idempotencyKey: 'stop-1' },
  );
  expect(created).toMatchObject({ reason: input.reason, hold: { state: 'active' } });
  const repeated = await hangup.cancellations.create(
    { ...input, expectedAtMost: 2 },
    { idempotencyKey: 'stop-1' },
  );
  expect(repeated.id).toBe(created.id);
  const progress: Cancellation[] = [];
  const completed = await hangup.cancellations.wait(created.id, { onProgress: (one) => progress.push(one) });
  expect(completed).toMatchObject({
    state: 'completed',
    counts: { matched: 2, cancelled: 2, rooms: { deleted: 2, pending: 0, discarded: 0 } },
  });
  expect(progress.at(-1)).toEqual(completed);
  expect(await hangup.cancellations.get(created.id)).toEqual(completed);
  const calls = await collect(hangup.calls.listAll({ cancellationId: created.id }));
  expect(calls.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);

  await expect(hangup.calls.create({ agentId })).rejects.toMatchObject({
    status: 409,
    message: `Call is held by cancellation ${created.id}`,
  });
  expect(await hangup.cancellations.liftHold(created.id)).toMatchObject({ hold: { state: 'lifted' } });
  expect(await hangup.calls.create({ agentId })).toMatchObject({ status: 'initiated' });

  const other = await hangup.cancellations.create({ callIds: ['wrong-1', 'unknown'], reason: 'again' });
  expect(await hangup.cancellations.wait(other.id)).toMatchObject({
    counts: { alreadyEnded: 1, notFound: 1 },
  });
  const page = await hangup.cancellations.list({ limit: 1 });
  expect(page.cancellations.map(({ id }) => id)).toEqual([other.id]);
  const all = await collect(hangup.cancellations.listAll());
  expect(all.map(({ id }) => id)).toEqual([other.id, created.id]);
});

test('errors of the server have its status and message', async () => {
  const reader = createHangup({ url: server.url, apiKey: await server.createKey('acme', ['calls:read']) });
  const stranger = createHangup({ url: server.url, apiKey: await server.createKey('other') });
  const anonymous = createHangup({ url: server.url, apiKey: 'wrong' });
  await hangup.calls.create({ id: 'mine' });
  await expect(reader.calls.cancel('mine')).rejects.toMatchObject({ status: 403, code: 'forbidden' });
  await expect(stranger.calls.get('mine')).rejects.toMatchObject({
    status: 403,
    message: 'Access denied - call belongs to different organization',
  });
  await expect(anonymous.calls.list()).rejects.toMatchObject({
    status: 401,
    code: 'unauthorized',
    message: 'Unauthorized',
    requestId: expect.any(String),
  });
  await expect(hangup.calls.get('unknown')).rejects.toMatchObject({ status: 404, message: 'Call not found' });
  await expect(hangup.calls.list({ limit: 101 })).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('limit'),
  });
  await expect(hangup.cancellations.get('can_unknown')).rejects.toMatchObject({ status: 404 });
});
