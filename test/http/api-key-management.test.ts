import { createTRPCClient, httpBatchLink } from '@trpc/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AppRouter } from '../../src/api/router.ts';
import { SCOPES, type Scope } from '../../src/domain/api-key.ts';
import { openStream } from '../harness/event-stream.ts';
import { type Answer, type Hangup, startHangup } from '../harness/hangup.ts';
import { HUMAN, postWebhook, roomWebhooks } from '../harness/webhooks.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const PATH = '/api/v1/api-keys';
const FORBIDDEN = { error: { message: 'Access denied - API key lacks scope: admin', code: 403 } };
const NOT_FOUND = { error: { message: 'API key not found', code: 404 } };

interface Listed {
  readonly id: string;
  readonly key: string;
  readonly revokedAt: string | null;
}
const dataOf = ({ body }: Answer) => (body as { data: Listed }).data;

const create = (input: object = {}, options: Parameters<Hangup['send']>[2] = {}) =>
  hangup.send('POST', PATH, { body: { name: 'dashboard', scopes: ['calls:read'], ...input }, ...options });

/** Creates a key over the API. */
async function created(input: object = {}): Promise<Listed> {
  const answer = await create(input);
  expect(answer.status).toBe(201);
  return dataOf(answer);
}

const list = async (key = hangup.key) => {
  const { status, body } = await hangup.send('GET', PATH, { key });
  expect(status).toBe(200);
  return (body as { data: { apiKeys: Listed[] } }).data.apiKeys;
};

const currentId = async (key = hangup.key) => dataOf(await hangup.send('GET', `${PATH}/current`, { key })).id;

const ALL_BUT_ADMIN = SCOPES.filter((scope) => scope !== 'admin');

describe('without a valid key, or without the scope admin', () => {
  const requests = (): [string, string, unknown?][] => [
    ['GET', PATH],
    ['POST', PATH, { name: 'x', scopes: ['admin'] }],
    ['POST', PATH, { wrong: true }],
    ['DELETE', `${PATH}/key_none`],
    ['GET', '/api/v1/adoption-prefixes'],
    ['POST', '/api/v1/adoption-prefixes', { prefix: 'x' }],
    ['DELETE', '/api/v1/adoption-prefixes/x'],
  ];

  test('every request gets 401 or 403, before its input is checked, and changes nothing', async () => {
    const before = await list();
    const key = await hangup.createKey('acme', ALL_BUT_ADMIN);
    for (const [method, path, body] of requests()) {
      expect((await hangup.send(method, path, { key: null, body })).status).toBe(401);
      const refused = await hangup.send(method, path, { key, body });
      expect([refused.status, refused.body]).toEqual([403, FORBIDDEN]);
    }
    expect((await list()).map(({ id }) => id).slice(1)).toEqual(before.map(({ id }) => id));
    expect(await hangup.store.listAdoptionPrefixes()).toEqual([]);
  });

  test('over tRPC too', async () => {
    const key = await hangup.createKey('acme', ALL_BUT_ADMIN);
    for (const [procedure, input] of [
      ['apiKeys.create', { name: 'x', scopes: ['admin'] }],
      ['apiKeys.revoke', { keyId: 'key_none' }],
      ['adoption.add', { prefix: 'x' }],
      ['adoption.remove', { prefix: 'x' }],
    ] as const)
      expect((await hangup.send('POST', `/trpc/${procedure}`, { key, body: input })).status).toBe(403);
    for (const procedure of ['apiKeys.list', 'adoption.list'])
      expect((await hangup.send('GET', `/trpc/${procedure}`, { key })).status).toBe(403);
  });
});

describe('POST /api-keys', () => {
  test('creates a key that works, and returns it once', async () => {
    const scopes: Scope[] = ['calls:cancel', 'calls:read'];
    const answer = await create({ scopes, expiresAt: '2100-01-01T01:00:00+01:00' });
    expect([answer.status, answer.body]).toEqual([
      201,
      {
        message: 'API key created',
        data: {
          id: expect.stringMatching(/^key_[0-9a-f]{32}$/),
          key: expect.stringMatching(/^hangup_live_[A-Za-z0-9_-]{43}$/),
          name: 'dashboard',
          scopes: ['calls:read', 'calls:cancel'],
          createdAt: expect.any(String),
          expiresAt: '2100-01-01T00:00:00.000Z',
          revokedAt: null,
          lastUsedAt: null,
          isCurrent: false,
        },
      },
    ]);
    const { id, key } = dataOf(answer);
    const current = await hangup.send('GET', `${PATH}/current`, { key });
    expect(current.body).toMatchObject({
      data: { id, organizationId: hangup.organizationId, organization: 'acme', name: 'dashboard' },
    });
    const listed = JSON.stringify(await list());
    expect(listed).toContain(id);
    expect(listed).not.toContain(key);
    expect(JSON.stringify(hangup.log)).not.toContain(key);
  });

  test('records the key of the request as the author, in the audit log and in the log', async () => {
    const { id } = await created();
    const [event] = await hangup.store.listCallEvents({ callId: id, after: 0, limit: 9 });
    expect(event).toMatchObject({ action: 'api_key.created', actor: 'api_key', actorId: await currentId() });
    const fields = { keyId: await currentId(), createdKeyId: id };
    await expect.poll(() => hangup.log).toContainEqual(expect.objectContaining({ fields }));
  });

  test('accepts each scope, without a duplicate', async () => {
    expect(await created({ scopes: SCOPES })).toMatchObject({ scopes: SCOPES });
    expect(await created({ scopes: ['admin', 'admin'] })).toMatchObject({ scopes: ['admin'] });
  });

  test.each([
    [{ name: '' }],
    [{ name: ' x' }],
    [{ name: 'x ' }],
    [{ name: 'a\nb' }],
    [{ name: 'x'.repeat(129) }],
    [{ name: undefined }],
    [{ scopes: [] }],
    [{ scopes: ['calls:all'] }],
    [{ scopes: 'admin' }],
    [{ scopes: undefined }],
    [{ expiresAt: '2020-01-01T00:00:00Z' }],
    [{ expiresAt: 'tomorrow' }],
    [{ expiresAt: null }],
    [{ organization: 'other' }],
  ])('returns 400 for %j', async (input) => {
    const before = (await list()).length;
    expect((await create(input)).status).toBe(400);
    expect((await list()).length).toBe(before);
  });

  test('accepts no Idempotency-Key, because it cannot return the key again', async () => {
    const { status, body } = await create({}, { headers: { 'idempotency-key': 'k' } });
    expect(status).toBe(400);
    expect(body).toEqual({
      error: { message: 'Idempotency-Key: not accepted by this endpoint', code: 400 },
    });
    const over = await hangup.send('POST', '/trpc/apiKeys.create', {
      body: { name: 'x', scopes: ['calls:read'] },
      headers: { 'idempotency-key': 'k' },
    });
    expect(over.status).toBe(400);
  });
});

describe('GET /api-keys', () => {
  test('lists the keys of the organization only: not revoked ones first, then the newest first', async () => {
    const key = await hangup.createKey('lists', ['admin']);
    const make = async (name: string) => dataOf(await create({ name, scopes: ['calls:read'] }, { key })).id;
    const ids = [await make('a'), await make('b'), await make('c')];
    await hangup.send('DELETE', `${PATH}/${ids[2]}`, { key });
    const own = await currentId(key);
    const listed = await list(key);
    expect(listed.map(({ id }) => id)).toEqual([ids[1], ids[0], own, ids[2]]);
    expect(listed.map((one) => (one as { isCurrent?: boolean }).isCurrent)).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect(listed[2]).toMatchObject({ name: 'test', scopes: ['admin'], lastUsedAt: expect.any(String) });
    expect(listed[3]?.revokedAt).toEqual(expect.any(String));
    expect((await list()).map(({ id }) => id)).not.toContain(own);
  });
});

describe('DELETE /api-keys/{keyId}', () => {
  test('revokes a key at once, and a second time without an effect', async () => {
    const { id, key } = await created();
    expect((await hangup.send('GET', '/api/v1/calls', { key })).status).toBe(200);
    const first = await hangup.send('DELETE', `${PATH}/${id}`);
    expect(first).toMatchObject({ status: 200, body: { message: 'API key revoked' } });
    expect(dataOf(first)).toMatchObject({ id, revokedAt: expect.any(String), isCurrent: false });
    expect((await hangup.send('GET', '/api/v1/calls', { key })).status).toBe(401);
    const second = await hangup.send('DELETE', `${PATH}/${id}`);
    expect(dataOf(second).revokedAt).toBe(dataOf(first).revokedAt);
    const events = await hangup.store.listCallEvents({ callId: id, after: 0, limit: 9 });
    expect(events.slice(1)).toMatchObject([
      { action: 'api_key.revoked', actor: 'api_key', actorId: await currentId() },
    ]);
  });

  test('returns the same 404 for the key of another organization as for no key', async () => {
    const other = await hangup.createKey('other');
    const id = await currentId(other);
    for (const keyId of [id, 'key_none', hangup.organizationId]) {
      const { status, body } = await hangup.send('DELETE', `${PATH}/${keyId}`);
      expect([status, body]).toEqual([404, NOT_FOUND]);
      const over = await hangup.send('POST', '/trpc/apiKeys.revoke', { body: { keyId } });
      expect(over).toMatchObject({ status: 404, body: { error: { message: 'API key not found' } } });
    }
    expect((await hangup.send('GET', `${PATH}/current`, { key: other })).status).toBe(200);
  });

  test('a key can revoke itself', async () => {
    const key = await hangup.createKey('acme', ['admin']);
    const answer = await hangup.send('DELETE', `${PATH}/${await currentId(key)}`, { key });
    expect(dataOf(answer)).toMatchObject({ isCurrent: true });
    expect((await hangup.send('GET', PATH, { key })).status).toBe(401);
  });
});

describe('/adoption-prefixes', () => {
  const PREFIXES = '/api/v1/adoption-prefixes';
  const add = (prefix: unknown, key = hangup.key) => hangup.send('POST', PREFIXES, { key, body: { prefix } });
  const prefixes = async (key = hangup.key) => {
    const { body } = await hangup.send('GET', PREFIXES, { key });
    return (body as { data: { adoptionPrefixes: { prefix: string }[] } }).data.adoptionPrefixes.map(
      ({ prefix }) => prefix,
    );
  };
  const remove = (prefix: string, key = hangup.key) =>
    hangup.send('DELETE', `${PREFIXES}/${encodeURIComponent(prefix)}`, { key });
  const TAKEN = {
    error: {
      message: 'Adoption prefix is already taken, or begins with a prefix that is taken',
      code: 409,
    },
  };

  test('adds, lists and removes a prefix of the organization', async () => {
    const key = await hangup.createKey('prefixes', ['admin']);
    const added = await add('b-', key);
    expect([added.status, added.body]).toEqual([
      201,
      { message: 'Adoption prefix added', data: { prefix: 'b-', createdAt: expect.any(String) } },
    ]);
    const again = await add('b-', key);
    expect([again.status, again.body]).toEqual([201, added.body]);
    await add('a/ü %2F?', key);
    expect(await prefixes(key)).toEqual(['a/ü %2F?', 'b-']);
    expect(await prefixes()).toEqual([]);
    const events = await hangup.store.listCallEvents({ callId: 'b-', after: 0, limit: 9 });
    expect(events).toMatchObject([
      { action: 'adoption.added', actor: 'api_key', actorId: await currentId(key) },
    ]);
    for (const prefix of ['a/ü %2F?', 'b-'])
      expect(await remove(prefix, key)).toMatchObject({
        status: 200,
        body: { message: 'Adoption prefix removed', data: { prefix } },
      });
    expect(await prefixes(key)).toEqual([]);
    expect((await remove('b-', key)).status).toBe(404);
  });

  test('adopts a room with the prefix for the organization', async () => {
    const key = await hangup.createKey('adopts');
    await add('adopted-', key);
    const room = roomWebhooks('adopted-1');
    await postWebhook(hangup.url, room.started());
    await postWebhook(hangup.url, room.joined(HUMAN));
    const { body } = await hangup.send('GET', '/api/v1/calls', { key });
    expect((body as { data: { calls: unknown[] } }).data.calls).toHaveLength(1);
    await remove('adopted-', key);
  });

  test('refuses to take a prefix, or a part of its rooms, from another organization', async () => {
    const other = await hangup.createKey('owner', ['admin']);
    await add('owned-', other);
    for (const prefix of ['owned-', 'owned-1', 'owned-\u{1F600}']) {
      const { status, body } = await add(prefix);
      expect([status, body]).toEqual([409, TAKEN]);
      expect(JSON.stringify(body)).not.toContain('owner');
    }
    expect((await add('owned-vip-', other)).status).toBe(201);
    // A shorter prefix takes no room of the longer one.
    expect((await add('own')).status).toBe(201);
    await remove('own');
  });

  test('returns 404 for the prefix of another organization, and keeps it', async () => {
    const other = await hangup.createKey('keeper', ['admin']);
    await add('kept-', other);
    const { status, body } = await remove('kept-');
    expect([status, body]).toEqual([404, { error: { message: 'Adoption prefix not found', code: 404 } }]);
    expect(await prefixes(other)).toEqual(['kept-']);
  });

  test.each([[''], [' a'], ['a '], ['a\u0000'], ['x'.repeat(129)], [1], [undefined]])(
    'returns 400 for the prefix %j',
    async (prefix) => {
      expect((await add(prefix)).status).toBe(400);
      expect(await prefixes()).toEqual([]);
    },
  );
});

test('a revoked key ends its open event stream', async () => {
  const { id, key } = await created();
  await using stream = await openStream({ url: hangup.url, key });
  expect(stream.response.status).toBe(200);
  await hangup.send('DELETE', `${PATH}/${id}`);
  expect((await hangup.send('GET', '/api/v1/events', { key })).status).toBe(401);
});

test('over tRPC, the procedures return the same as over REST', async () => {
  const key = await hangup.createKey('trpc', ['admin']);
  const client = createTRPCClient<AppRouter>({
    links: [httpBatchLink({ url: `${hangup.url}/trpc`, headers: { 'x-api-key': key } })],
  });
  const { key: made, ...listed } = await client.apiKeys.create.mutate({ name: 'x', scopes: ['calls:read'] });
  expect(made).toMatch(/^hangup_live_/);
  const { apiKeys } = await client.apiKeys.list.query();
  expect(apiKeys).toEqual([listed, expect.objectContaining({ isCurrent: true })]);
  expect(apiKeys).toEqual(await list(key));
  expect(await client.apiKeys.revoke.mutate({ keyId: listed.id })).toMatchObject({ id: listed.id });
  const prefix = await client.adoption.add.mutate({ prefix: 'trpc-' });
  expect(await client.adoption.list.query()).toEqual({ adoptionPrefixes: [prefix] });
  expect(await client.adoption.remove.mutate({ prefix: 'trpc-' })).toEqual({ prefix: 'trpc-' });
});
