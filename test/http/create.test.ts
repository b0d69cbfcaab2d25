import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const create = (body: unknown, options?: Parameters<Hangup['send']>[2]) =>
  hangup.send('POST', '/api/v1/calls', { body, ...options });
const count = async () => {
  const { body } = await hangup.send('GET', '/api/v1/calls?limit=1');
  return (body as { data: { pagination: { total: number } } }).data.pagination.total;
};

describe('POST /calls returns 201', () => {
  test('and applies the defaults to an empty body', async () => {
    const { status, body } = await create({});
    expect(status).toBe(201);
    expect(body).toMatchObject({
      data: { status: 'initiated', direction: 'outbound', metadata: {}, roomDeletion: null },
      message: 'Call created successfully',
    });
    const { id, roomName } = (body as { data: { id: string; roomName: string } }).data;
    expect(id).toMatch(/^call_[0-9a-f]{32}$/);
    expect(roomName).toBe(id);
  });

  test('and stores all fields', async () => {
    const call = {
      id: 'my-call.1',
      agentId: 'a1',
      agentName: 'Ada',
      direction: 'inbound',
      phoneNumber: '+15551234567',
      contact: { name: 'Zoë 😀', phone: '+15557654321', email: 'zoe@example.com' },
      roomName: 'a room/with any? name & ünïcode',
      jobId: 'AJ_1',
      sipParticipantId: 'PA_1',
      scheduledAt: '2026-11-23T09:00:00+01:00',
      metadata: { a: [1, { b: null }] },
    };
    expect(await create(call)).toMatchObject({
      status: 201,
      body: {
        data: {
          id: 'my-call.1',
          agent: { id: 'a1', name: 'Ada', type: 'voice' },
          direction: 'inbound',
          phoneNumber: '+15551234567',
          roomName: 'a room/with any? name & ünïcode',
          jobId: 'AJ_1',
          sipParticipantId: 'PA_1',
          scheduledAt: '2026-11-23T08:00:00.000Z',
          metadata: { a: [1, { b: null }] },
        },
      },
    });
    expect(await hangup.send('GET', '/api/v1/calls?phoneNumber=%2B15551234567')).toMatchObject({
      body: { data: { calls: [{ id: 'my-call.1', contact: call.contact }] } },
    });
  });

  test('and generates ids that sort by time', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 20; i += 1) {
      ids.push(((await create({})).body as { data: { id: string } }).data.id);
    }
    // Ids of one millisecond have no order.
    const times = ids.map((id) => id.slice(0, 'call_'.length + 12));
    expect(times.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(times);
    expect(new Set(times).size).toBeGreaterThan(1);
  });

  test('when the metadata has exactly 16 KiB and any keys', async () => {
    const text = 'x'.repeat(16 * 1024 - '{"t":""}'.length);
    expect(await create({ metadata: { t: text } })).toMatchObject({ status: 201 });
    const odd = '{"metadata":{"__proto__":{"admin":true},"constructor":1,"":2}}';
    const { status, body } = await create(odd);
    expect(status).toBe(201);
    const { id } = (body as { data: { id: string } }).data;
    expect(await hangup.send('GET', `/api/v1/calls/${id}`)).toMatchObject({ status: 200 });
    expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false);
  });
});

describe('POST /calls returns 400, names the problem and creates nothing', () => {
  test.each<[string, unknown]>([
    ['Unrecognized key: "phone"', { phone: '+1' }],
    ['Unrecognized key: "__proto__"', '{"__proto__":{"id":"x"}}'],
    ['Unrecognized key: "status"', { status: 'completed' }],
    ['contact: Unrecognized key: "fax"', { contact: { fax: '1' } }],
    ['id: ', { id: '' }],
    ['id: ', { id: 'x'.repeat(129) }],
    ['id: ', { id: 'a/b' }],
    ['id: ', { id: 'ünï' }],
    ['id: ', { id: 5 }],
    ['id: ', { id: null }],
    ['agentId: ', { agentId: 'x'.repeat(257) }],
    ['agentName: ', { agentName: 'a\u0000b' }],
    ['agentName: ', '{"agentName":"\\ud800"}'],
    ['direction: ', { direction: 'sideways' }],
    ['phoneNumber: ', { phoneNumber: 15551234567 }],
    ['phoneNumber: ', { phoneNumber: `+${'1'.repeat(64)}` }],
    ['contact: ', { contact: 'Ada' }],
    ['contact.email: ', { contact: { email: '\u0007' } }],
    ['roomName: ', { roomName: '' }],
    ['roomName: ', { roomName: 'x'.repeat(257) }],
    // 129 characters are 258 bytes, and LiveKit counts bytes.
    ['roomName: must be at most 256 bytes as UTF-8', { roomName: 'ö'.repeat(129) }],
    ['scheduledAt: ', { scheduledAt: 'tomorrow' }],
    ['scheduledAt: ', { scheduledAt: '2026-11-23T08:00:00' }],
    ['scheduledAt: ', { scheduledAt: '2026-02-30T08:00:00Z' }],
    ['scheduledAt: ', { scheduledAt: 1_795_420_800_000 }],
    ['scheduledAt: must be in the years 1970 to 9999', { scheduledAt: '1969-12-31T23:59:59Z' }],
    ['scheduledAt: must be in the years 1970 to 9999', { scheduledAt: '9999-12-31T23:59:59-01:00' }],
    ['metadata: ', { metadata: 'x' }],
    ['metadata: ', { metadata: [] }],
    ['metadata: ', { metadata: null }],
    ['metadata: must be at most 16384 bytes as JSON', { metadata: { t: 'x'.repeat(16 * 1024) } }],
    ['metadata: ', `{"metadata":{"deep":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`],
    ['Malformed JSON body', '{"id":'],
    ['Malformed JSON body', ''],
    ['Malformed JSON body', '{"id":NaN}'],
    ['Request body must be a JSON object', '[]'],
    ['Request body must be a JSON object', 'null'],
    ['Request body must be a JSON object', '"text"'],
  ])('with the message "%s" (%#)', async (message, body) => {
    const before = await count();
    const answer = await create(body);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 400 } } });
    expect((answer.body as { error: { message: string } }).error.message.slice(0, message.length)).toBe(
      message,
    );
    expect(await count()).toBe(before);
  });

  test('when the body is not UTF-8', async () => {
    const response = await fetch(`${hangup.url}/api/v1/calls`, {
      method: 'POST',
      headers: { 'x-api-key': hangup.key, 'content-type': 'application/json' },
      body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: { message: 'Malformed JSON body', code: 400 } });
  });
});

describe('POST /calls returns 403', () => {
  test('before reading the body when the key lacks calls:write', async () => {
    const key = await hangup.createKey('acme', ['calls:read']);
    expect(await create('{', { key })).toMatchObject({
      status: 403,
      body: { error: { message: 'Access denied - API key lacks scope: calls:write', code: 403 } },
    });
  });
});

describe('POST /calls returns 409', () => {
  test('when any organization has a call with the id', async () => {
    await create({ id: 'taken' });
    const taken = {
      status: 409,
      body: { error: { message: 'Call id is already taken', code: 409 } },
    };
    expect(await create({ id: 'taken' })).toMatchObject(taken);
    const key = await hangup.createKey('other');
    expect(await create({ id: 'taken' }, { key })).toMatchObject(taken);
  });

  test('when a live call has the room name, until that call is cancelled and its room deleted', async () => {
    await create({ id: 'first', roomName: 'shared' });
    expect(await create({ id: 'second', roomName: 'shared' })).toMatchObject({
      status: 409,
      body: { error: { message: expect.stringMatching(/^Room name is in use/), code: 409 } },
    });
    await hangup.send('DELETE', '/api/v1/calls/first');
    expect(await create({ id: 'second', roomName: 'shared' })).toMatchObject({ status: 201 });
  });
});
