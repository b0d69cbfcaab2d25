import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
  const day = (d: number, h = 0) => Date.UTC(2026, 10, d, h);
  await hangup.insertCall({ id: 'a', createdAt: day(1), status: 'active', agentId: 'x', agentName: 'X' });
  await hangup.insertCall({ id: 'b', createdAt: day(2), status: 'ringing', phoneNumber: '+15551234567' });
  await hangup.insertCall({
    id: 'c',
    createdAt: day(2, 23) + 3_599_999,
    status: 'completed',
    answeredAt: day(3, 1),
    endedAt: day(3, 2),
    scheduledAt: day(9),
  });
  await hangup.insertCall({ id: 'd', createdAt: day(3), direction: 'inbound' });
});
afterAll(() => hangup.stop());

interface Page {
  calls: { id: string }[];
  pagination: { nextCursor: string | null; hasMore: boolean };
}
const list = (query: string, options?: Parameters<Hangup['send']>[2]) =>
  hangup.send('GET', `/api/v1/calls?${query}`, options);
const pageOf = async (query: string) => ((await list(query)).body as { data: Page }).data;
const idsOf = async (query: string) => (await pageOf(query)).calls.map(({ id }) => id).join('');

describe('GET /calls returns 200', () => {
  test('with the newest call first and the pagination', async () => {
    const { status, body } = await list('');
    expect(status).toBe(200);
    expect(body).toEqual({
      data: {
        calls: expect.any(Array),
        pagination: { total: 4, totalCapped: false, limit: 50, offset: 0, hasMore: false, nextCursor: null },
      },
    });
    expect(await pageOf('')).toMatchObject({
      calls: [{ id: 'd' }, { id: 'c' }, { id: 'b' }, { id: 'a' }],
    });
  });

  test('with exactly the documented fields in a list item', async () => {
    expect((await pageOf('status=completed')).calls).toEqual([
      {
        id: 'c',
        status: 'completed',
        direction: 'outbound',
        scheduledAt: '2026-11-09T00:00:00.000Z',
        duration: 3_600,
        outcome: 'completed',
        agent: { id: null, name: null },
        contact: { phone: null, name: null, email: null },
        phoneNumber: null,
        createdAt: '2026-11-02T23:59:59.999Z',
      },
    ]);
  });

  test.each([
    ['agentId=x', 'a'],
    ['status=active', 'a'],
    ['status=active&status=ringing', 'ba'],
    ['direction=inbound', 'd'],
    ['phoneNumber=%2B15551234567', 'b'],
    ['startDate=2026-11-02', 'dcb'],
    ['endDate=2026-11-02', 'cba'],
    ['startDate=2026-11-02&endDate=2026-11-02', 'cb'],
    ['endDate=2026-11-02T00:00:00Z', 'ba'],
    ['startDate=2026-11-02T01:00:00%2B01:00&endDate=2026-11-02T00:00:00.000Z', 'b'],
    ['sortOrder=asc', 'abcd'],
    ['sortBy=scheduledAt&limit=1', 'c'],
    ['limit=2&offset=1', 'cb'],
    ['limit=100&offset=1000000', ''],
    ['status[]=active&status%5B%5D=ringing', 'ba'],
    ['status[]=active&status=ringing', 'ba'],
    ['', 'dcba'],
    ['&&', 'dcba'],
  ])('with the matching calls: %s', async (query, ids) => {
    expect(await idsOf(query)).toBe(ids);
  });

  test('with pages by a cursor that carries its own order', async () => {
    let page = await pageOf('limit=3&sortOrder=asc');
    expect(page.calls.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(page.pagination.hasMore).toBe(true);
    page = await pageOf(`limit=3&cursor=${page.pagination.nextCursor}`);
    expect(page.calls.map(({ id }) => id)).toEqual(['d']);
    expect(page.pagination).toMatchObject({ hasMore: false, nextCursor: null });
  });

  test('without the calls of another organization', async () => {
    const key = await hangup.createKey('other');
    expect(await list('', { key })).toMatchObject({
      body: { data: { calls: [], pagination: { total: 0 } } },
    });
  });
});

describe('GET /calls returns 400 and names the parameter', () => {
  test.each([
    'limit=0',
    'limit=101',
    'limit=-1',
    'limit=1.5',
    'limit=NaN',
    'limit=1e999',
    'limit=1e1',
    'limit=0x10',
    'limit=',
    'limit=%00',
    'limit=1&limit=2',
    'limit=99999999999999999999',
    'offset=-1',
    'offset=1000001',
    'offset=x',
    'status=gone',
    'status=',
    'status=active&status=gone',
    'direction=both',
    'direction=inbound&direction=outbound',
    'agentId=',
    `agentId=${'x'.repeat(257)}`,
    'agentId=a%00',
    'agentId=a&agentId=b',
    'phoneNumber=%0a',
    'startDate=yesterday',
    'startDate=2026-13-01',
    'startDate=2026-02-30',
    'startDate=0000-01-01',
    'startDate=1969-12-31',
    'startDate=2026-11-23T08:00:00',
    'endDate=10000-01-01',
    'endDate=9999-12-31T23:59:59-01:00',
    'sortBy=id',
    'sortOrder=up',
    'cursor=hello',
    'cursor=',
    `cursor=${Buffer.from('["createdAt","desc",1e999,"a"]').toString('base64url')}`,
    `cursor=${'x'.repeat(513)}`,
    `offset=1&cursor=${Buffer.from('["createdAt","desc",1,"a"]').toString('base64url')}`,
  ])('for %s', async (query) => {
    const name = /^\w+/.exec(query)?.[0] ?? '';
    expect(await list(query)).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringMatching(new RegExp(`^${name}[.:]`)), code: 400 } },
    });
  });
});

test('GET /calls checks 401 and 403 before 400', async () => {
  expect(await list('limit=0', { key: null })).toMatchObject({ status: 401 });
  const key = await hangup.createKey('acme', ['calls:write']);
  expect(await list('limit=0', { key })).toMatchObject({ status: 403 });
});
