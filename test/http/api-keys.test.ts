import { createTRPCClient, httpBatchLink } from '@trpc/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AppRouter } from '../../src/api/router.ts';
import { SCOPES } from '../../src/domain/api-key.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const PATH = '/api/v1/api-keys/current';

describe('GET /api-keys/current', () => {
  test('returns the properties of the key, but not the key', async () => {
    const { status, body } = await hangup.send('GET', PATH);
    expect(status).toBe(200);
    expect(body).toEqual({
      data: {
        id: expect.stringMatching(/^key_[0-9a-f]{32}$/),
        name: 'test',
        organization: 'acme',
        organizationId: hangup.organizationId,
        scopes: SCOPES,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        expiresAt: null,
      },
    });
    expect(JSON.stringify(body)).not.toContain(hangup.key);
  });

  test('requires no scope, and returns the scopes and the expiry', async () => {
    const expiresAt = Date.UTC(2100, 0, 1);
    for (const scope of SCOPES) {
      const key = await hangup.createKey('other', [scope], expiresAt);
      expect((await hangup.send('GET', PATH, { key })).body).toMatchObject({
        data: { organization: 'other', scopes: [scope], expiresAt: '2100-01-01T00:00:00.000Z' },
      });
    }
  });

  test('returns 401 without a valid key', async () => {
    for (const key of [null, 'hangup_live_wrong', await hangup.createKey('acme', SCOPES, 1)])
      expect((await hangup.send('GET', PATH, { key })).status).toBe(401);
  });

  test('returns 405 for another key id, and for another method', async () => {
    expect((await hangup.send('GET', '/api/v1/api-keys/key_1')).headers.get('allow')).toBe('DELETE');
    expect((await hangup.send('DELETE', PATH)).headers.get('allow')).toBe('GET, HEAD');
  });

  test('counts in no budget', async () => {
    const { status, headers } = await hangup.send('GET', PATH);
    expect([status, headers.get('ratelimit')]).toEqual([200, null]);
  });
});

test('over tRPC, apiKeys.current returns the same properties, with and without an input', async () => {
  const client = createTRPCClient<AppRouter>({
    links: [httpBatchLink({ url: `${hangup.url}/trpc`, headers: { 'x-api-key': hangup.key } })],
  });
  const { body } = await hangup.send('GET', PATH);
  expect({ data: await client.apiKeys.current.query() }).toEqual(body);
  expect({ data: await client.apiKeys.current.query({}) }).toEqual(body);
});
