import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';

/* Unusual inputs that clients and proxies send, from public reports. */

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup({ settings: { trustedProxies: ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'] } });
  const at = Date.UTC(2026, 10, 2);
  await hangup.insertCall({ id: 'active', status: 'active', phoneNumber: '+15551234567', createdAt: at });
  await hangup.insertCall({
    id: 'done',
    status: 'completed',
    endedAt: at + 86_400_000,
    createdAt: at + 86_400_000,
  });
});
afterAll(() => hangup.stop());

const list = (query: string) => hangup.send('GET', `/api/v1/calls?${query}`);
const idsOf = async (query: string) =>
  ((await list(query)).body as { data: { calls: { id: string }[] } }).data.calls.map(({ id }) => id);
const refused = (message: unknown) => ({ status: 400, body: { error: { message, code: 400 } } });
const create = (body: unknown) => hangup.send('POST', '/api/v1/calls', { body });
const trpc = (method: string, procedure: string, input: unknown, headers: Record<string, string> = {}) => {
  const text = typeof input === 'string' ? input : JSON.stringify(input);
  return method === 'GET'
    ? hangup.send('GET', `/trpc/${procedure}?input=${encodeURIComponent(text)}`, { headers })
    : hangup.send('POST', `/trpc/${procedure}`, { body: text, headers });
};

describe('GET /calls with an invalid filter', () => {
  test('reads status[]=completed, the form of axios, as status', async () => {
    expect(await idsOf('status[]=completed')).toEqual(['done']);
    expect(await idsOf('status%5B%5D=completed&status%5B%5D=active')).toEqual(['done', 'active']);
  });

  test.each([
    ['phone_number=x', 'Unrecognized key: "phone_number"'],
    ['page=2', 'Unrecognized key: "page"'],
    ['Status=completed', 'Unrecognized key: "Status"'],
    ['status[0]=completed', 'Unrecognized key: "status[0]"'],
    ['limit[]=1', 'Unrecognized key: "limit[]"'],
    ['=completed', 'Unrecognized key: ""'],
    ['status', 'status.0: Invalid option'],
    ['a=1&b=2&a=3', 'Unrecognized key: "a", "b"'],
    ['agentId=%ff', 'agentId: expected percent-encoded UTF-8'],
    ['agentId=100%', 'agentId: expected percent-encoded UTF-8'],
    ['%ff=1', 'Unrecognized key: "%ff"'],
    ['cursor=WyJjcmVhdGVkQXQiLCJkZXNjIiwxLCJhIl0!', 'cursor: expected pagination.nextCursor'],
    ['cursor=WyJjcmVhdGVkQXQiLCJkZXNjIiwxLCJhIl0&sortBy=scheduledAt', 'sortBy: does not match the cursor'],
    ['cursor=WyJjcmVhdGVkQXQiLCJkZXNjIiwxLCJhIl0&sortOrder=asc', 'sortOrder: does not match the cursor'],
  ])('returns 400 and names the parameter for ?%s', async (query, message) => {
    expect(await list(query)).toMatchObject(refused(expect.stringContaining(message)));
  });

  test('returns 400 when a cursor belongs to another order', async () => {
    expect((await list('cursor=WyJjcmVhdGVkQXQiLCJkZXNjIiwxLCJhIl0&sortBy=createdAt')).status).toBe(200);
  });
});

describe('the body of a request', () => {
  test('gives DELETE its reason', async () => {
    await create({ id: 'body-reason' });
    expect(
      await hangup.send('DELETE', '/api/v1/calls/body-reason', { body: { reason: 'by body' } }),
    ).toMatchObject({ status: 200 });
    expect(await hangup.send('GET', '/api/v1/calls/body-reason')).toMatchObject({
      body: { data: { cancelReason: 'by body' } },
    });
  });

  test.each<[string, string, unknown, string]>([
    ['DELETE', '?reason=a', { reason: 'a' }, 'reason: expected in the query or in the body, not in both'],
    ['DELETE', '', { Reason: 'a' }, 'Unrecognized key: "Reason"'],
    ['DELETE', '', { callId: 'done' }, 'Unrecognized key: "callId"'],
    ['DELETE', '', { reason: 'a', idempotencyKey: 'k' }, 'Unrecognized key: "idempotencyKey"'],
    ['DELETE', '', '{"reason":"a","reason":"b"}', 'Duplicate key: "reason"'],
    ['DELETE', '', '{"reason":', 'Malformed JSON body'],
    ['DELETE', '', '[]', 'Request body must be a JSON object'],
    ['DELETE', '?callId=done', undefined, 'Unrecognized key: "callId"'],
    ['DELETE', '?idempotencyKey=a', undefined, 'Unrecognized key: "idempotencyKey"'],
  ])(
    'makes %s /calls/active%s with %j return 400 and cancel nothing',
    async (method, query, body, message) => {
      expect(await hangup.send(method, `/api/v1/calls/active${query}`, { body })).toMatchObject(
        refused(message),
      );
      expect(await hangup.send('GET', '/api/v1/calls/active')).toMatchObject({
        body: { data: { status: 'active' } },
      });
    },
  );

  test('is refused by DELETE when its headers do not declare JSON', async () => {
    for (const headers of [
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'application/json; charset=iso-8859-1' },
      { 'content-encoding': 'gzip' },
    ]) {
      expect(
        await hangup.send('DELETE', '/api/v1/calls/active', { body: { reason: 'a' }, headers }),
      ).toMatchObject({ status: 415 });
    }
  });

  test.each(['utf-8', 'UTF8', '"utf-8"', 'us-ascii'])('is read with charset=%s', async (charset) => {
    const headers = { 'content-type': `application/json; charset=${charset}` };
    expect(await hangup.send('POST', '/api/v1/calls', { body: {}, headers })).toMatchObject({ status: 201 });
    expect(await trpc('POST', 'calls.create', {}, headers)).toMatchObject({ status: 200 });
  });

  test.each(['iso-8859-1', 'utf-16', '"windows-1252"'])(
    'is refused with 415 and the name of charset=%s',
    async (charset) => {
      const headers = { 'content-type': `application/json; charset=${charset}` };
      const message = 'Unsupported media type: expected charset utf-8';
      expect(await hangup.send('POST', '/api/v1/calls', { body: {}, headers })).toMatchObject({
        status: 415,
        body: { error: { message } },
      });
      expect(await trpc('POST', 'calls.create', {}, headers)).toMatchObject({
        status: 415,
        body: { error: { message } },
      });
    },
  );

  test('is checked after 401, 404 and 403', async () => {
    const bad = { body: '{', headers: { 'content-type': 'text/plain' } };
    const other = await hangup.createKey('other');
    expect(await hangup.send('DELETE', '/api/v1/calls/active?x=1', { ...bad, key: null })).toMatchObject({
      status: 401,
    });
    expect(await hangup.send('DELETE', '/api/v1/calls/none?x=1', bad)).toMatchObject({ status: 404 });
    expect(await hangup.send('DELETE', '/api/v1/calls/active?x=1', { ...bad, key: other })).toMatchObject({
      status: 403,
    });
    expect(await hangup.send('DELETE', '/api/v1/calls/active?x=1', bad)).toMatchObject({ status: 400 });
    for (const [key, status] of [
      ['hangup_live_x', 401],
      [other, 403],
      [hangup.key, 400],
    ] as const) {
      const input = encodeURIComponent('{"callId":"active"}');
      expect(await hangup.send('GET', `/trpc/calls.get?x=1&input=${input}`, { key })).toMatchObject({
        status,
      });
    }
  });
});

test('GET /calls returns 400 for an empty list of statuses', async () => {
  const { status, body } = await hangup.send(
    'GET',
    `/trpc/calls.list?input=${encodeURIComponent('{"status":[]}')}`,
  );
  expect({ status, body }).toMatchObject({ status: 400, body: { error: { message: /^status/ } } });
});

describe('a + that is not percent-encoded', () => {
  test.each([
    ['phoneNumber=+15551234567', ['active']],
    ['phoneNumber=%2B15551234567', ['active']],
    ['startDate=2026-11-02T01:00:00+01:00&endDate=2026-11-02T01:00:00+01:00', ['active']],
    ['startDate=2026-11-02T01:00:00%2B01:00&endDate=2026-11-02', ['active']],
  ])('is a plus sign in ?%s', async (query, ids) => {
    expect(await idsOf(query)).toEqual(ids);
  });

  test('is a space at the end of a phone number, and white space at either end gets 400', async () => {
    const message = 'phoneNumber: must not begin or end with white space';
    for (const query of [
      'phoneNumber=15551234567+',
      'phoneNumber=%2015551234567',
      'phoneNumber=15551234567%20',
    ]) {
      expect(await list(query)).toMatchObject(refused(message));
    }
    const input = encodeURIComponent('{"phoneNumber":" 15551234567"}');
    const { status } = await hangup.send('GET', `/trpc/calls.list?input=${input}`);
    expect(status).toBe(400);
  });

  test('is a space after the first character of a phone number', async () => {
    await create({ id: 'spaced', phoneNumber: '+1 555 765 4321' });
    expect(await idsOf('phoneNumber=+1+555+765+4321')).toEqual(['spaced']);
  });

  test('is a space in a reason', async () => {
    await create({ id: 'requested' });
    await hangup.send('DELETE', '/api/v1/calls/requested?reason=caller+request');
    expect(await hangup.send('GET', '/api/v1/calls/requested')).toMatchObject({
      body: { data: { cancelReason: 'caller request' } },
    });
  });
});

describe('metadata is returned as it was sent, or refused', () => {
  const nested = (levels: number): string => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;

  test.each([
    '{"__proto__":{"a":1}}',
    '{"constructor":{"prototype":{"a":1}},"toString":1,"":2,"hasOwnProperty":null}',
    '{"deep":{"__proto__":null,"constructor":"x"}}',
    '{"a":9007199254740992,"b":-9007199254740991,"c":0.1,"d":1e21,"e":5e-324,"f":1.7976931348623157e308}',
    '{"emoji":"😀","nul":"\\u0000","rtl":"\\u202e","separator":"\\u2028"}',
    nested(32),
  ])('returned: %s', async (text) => {
    const over = [
      await create(`{"metadata":${text}}`),
      await trpc('POST', 'calls.create', `{"metadata":${text}}`),
    ];
    for (const { body } of over) {
      const data = (body as { data?: { id: string }; result?: { data: { id: string } } }).data;
      const created = data ?? (body as { result: { data: { id: string } } }).result.data;
      const read = await fetch(`${hangup.url}/api/v1/calls/${created.id}`, {
        headers: { 'x-api-key': hangup.key },
      });
      const answer: { data: { metadata: unknown } } = JSON.parse(await read.text());
      expect(JSON.stringify(answer.data.metadata)).toBe(JSON.stringify(JSON.parse(text)));
    }
    expect(Object.hasOwn(Object.prototype, 'a')).toBe(false);
  });

  test.each([
    ['{"n":9007199254740993}', 'metadata.n: cannot be represented exactly as a double'],
    ['{"n":[1,{"m":12345678901234567890}]}', 'metadata.n.1.m: cannot be represented exactly as a double'],
    ['{"n":1e400}', 'metadata.n: cannot be represented exactly as a double'],
    ['{"n":1e-400}', 'metadata.n: cannot be represented exactly as a double'],
    ['{"n":-0}', 'metadata.n: cannot be represented exactly as a double'],
    ['{"n":3.14159265358979323846}', 'metadata.n: cannot be represented exactly as a double'],
    [`{"n":1${'0'.repeat(5_000)}}`, 'metadata.n: cannot be represented exactly as a double'],
    ['{"a":1,"b":2,"\\u0061":3}', 'metadata: Duplicate key: "a"'],
    ['{"half":"\\ud83d"}', 'metadata.half: must not contain half of a surrogate pair'],
    ['{"\\udc00":1}', 'metadata: a name must not contain half of a surrogate pair'],
    [nested(33), 'metadata: must be at most 32 levels deep'],
    [nested(10_000), 'metadata: must be at most 32 levels deep'],
  ])('refused (%#)', async (text, message) => {
    const body = `{"id":"refused-metadata","metadata":${text}}`;
    expect(await create(body)).toMatchObject(refused(expect.stringContaining(message)));
    expect(await trpc('POST', 'calls.create', body)).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining(message), data: { httpStatus: 400 } } },
    });
    expect(await hangup.send('GET', '/api/v1/calls/refused-metadata')).toMatchObject({ status: 404 });
  });

  test('returned: any JSON object', async () => {
    const names = fc.oneof(
      fc.constantFrom('__proto__', 'constructor', '', '1'),
      fc.string({ unit: 'grapheme' }),
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(names, fc.jsonValue({ maxDepth: 4 })), async (metadata) => {
        const text = JSON.stringify(metadata);
        const { body } = await create(`{"metadata":${text}}`);
        const { id } = (body as { data: { id: string } }).data;
        const read = (await hangup.send('GET', `/api/v1/calls/${id}`)).body as {
          data: { metadata: unknown };
        };
        expect(JSON.stringify(read.data.metadata)).toBe(text);
      }),
      { numRuns: 50 },
    );
  });

  test.each(['2026-02-30', '2026-02-30T00:00:00Z', '2027-02-29', '2026-04-31', '2026-11-23T24:00:00Z'])(
    'every endpoint returns 400 for the date %s, which does not exist',
    async (date) => {
      for (const name of ['startDate', 'endDate']) {
        expect(await list(`${name}=${date}`)).toMatchObject(refused(expect.stringContaining(`${name}: `)));
        expect(await trpc('GET', 'calls.list', { [name]: date })).toMatchObject({ status: 400 });
      }
      expect(await create({ scheduledAt: date })).toMatchObject(
        refused(expect.stringContaining('scheduledAt')),
      );
    },
  );
});

describe('a tRPC request', () => {
  const { stringify } = JSON;

  test.each([
    ['GET', 'calls.list', '{"json":{"limit":2}}'],
    ['GET', 'calls.list', '{"json":null,"meta":{"values":["undefined"]}}'],
    ['GET', 'calls.get', '{"json":{"callId":"active"},"meta":{}}'],
    ['GET', 'calls.events', '"[{\\"callId\\":1},\\"active\\"]"'],
    ['POST', 'calls.cancel', '{"json":{"callId":"active"}}'],
    ['POST', 'calls.create', '{"json":{"id":"superjson"},"meta":{"values":{}}}'],
  ])(
    'returns 400 and names the cause for the input of a client with a transformer: %s %s %s',
    async (...request) => {
      expect(await trpc(...request)).toMatchObject({
        status: 400,
        body: { error: { message: expect.stringMatching(/without a data transformer such as superjson/) } },
      });
    },
  );

  test('returns 400 and names callId for an input without callId', async () => {
    for (const input of ['{}', '{"id":"active"}', '[]', 'null']) {
      expect(await trpc('GET', 'calls.get', input)).toMatchObject({
        status: 400,
        body: { error: { message: 'callId: required' } },
      });
    }
  });

  test('refuses one input of a batch and processes the others', async () => {
    const ids = ['batch-0', 'batch-1', 'batch-2'];
    for (const id of ids) await create({ id });
    const inputs = `{"0":{"callId":"batch-0"},"1":{"callId":"batch-1","reason":"\\ud83d"},"2":{"callId":"batch-2"}}`;
    const answer = await hangup.send('POST', `/trpc/${ids.map(() => 'calls.cancel').join(',')}?batch=1`, {
      body: inputs,
    });
    expect(answer).toMatchObject({
      status: 207,
      body: [
        { result: { data: { id: 'batch-0' } } },
        { error: { message: 'reason: must not contain half of a surrogate pair' } },
        { result: { data: { id: 'batch-2' } } },
      ],
    });
  });

  test.each([
    ['GET', 'calls.list?limit=2', undefined, 'Unrecognized key: "limit"'],
    ['GET', 'calls.list?Input={}', undefined, 'Unrecognized key: "Input"'],
    ['GET', 'calls.list?input={}&input={}', undefined, 'input: expected once'],
    ['GET', 'calls.list?input={}&batch=true', undefined, 'batch: expected 1'],
    ['GET', 'calls.list?input={', undefined, 'input: malformed JSON'],
    ['GET', 'calls.list?input=', undefined, 'input: malformed JSON'],
    [
      'GET',
      `calls.list?input=${encodeURIComponent('{"agentId":"')}%ff%22%7D`,
      undefined,
      'input: expected percent-',
    ],
    ['GET', 'calls.list?input={"limit":1,"limit":2}', undefined, 'Duplicate key: "limit"'],
    ['POST', 'calls.create?input={}', '{}', 'Unrecognized key: "input"'],
    ['POST', 'calls.create?id=x', '{}', 'Unrecognized key: "id"'],
    ['POST', 'calls.create', '{', 'Malformed JSON body'],
    ['POST', 'calls.create', '{"a":1}', 'Unrecognized key: "a"'],
  ])('returns 400 to %s %s', async (method, path, body, message) => {
    expect(await hangup.send(method, `/trpc/${path}`, { body })).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining(message) } },
    });
  });

  test.each([
    ['calls.list?batch=1', stringify({ 0: {}, 1: {} }), 'Unrecognized key: "1"'],
    ['calls.list,calls.list?batch=1&x=1', stringify({ 0: {}, 1: {} }), 'Unrecognized key: "x"'],
    ['calls.list?batch=1', stringify([{}]), 'input: expected an object with the inputs'],
  ])('returns 400 to each call of a batch %s with %s', async (path, input, message) => {
    const answer = await hangup.send('GET', `/trpc/${path}&input=${encodeURIComponent(input)}`);
    expect(answer.status).toBe(400);
    for (const { error } of answer.body as { error: { message: string } }[]) {
      expect(error.message).toContain(message);
    }
  });

  test('returns 400 to bytes that are not UTF-8', async () => {
    const body = Buffer.concat([Buffer.from('{"agentId":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    for (const path of ['/trpc/calls.create', '/api/v1/calls']) {
      const response = await fetch(hangup.url + path, {
        method: 'POST',
        headers: { 'x-api-key': hangup.key, 'content-type': 'application/json' },
        body,
      });
      expect(await response.text()).toContain('Malformed JSON body');
      expect(response.status).toBe(400);
    }
  });
});

describe('a request with the credential of a gateway and a key', () => {
  const send = (headers: Record<string, string>) =>
    hangup.send('GET', '/api/v1/calls', { key: null, headers });

  test('is authenticated by the credential that has the format of a key', async () => {
    for (const headers of [
      { 'x-api-key': 'gateway-4711', authorization: `Bearer ${hangup.key}` },
      { 'x-api-key': hangup.key, authorization: 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x' },
      { 'x-api-key': hangup.key, authorization: 'Basic Zm9vOmJhcg==' },
      { 'x-api-key': '', authorization: `bearer ${hangup.key}` },
    ]) {
      expect(await send(headers)).toMatchObject({ status: 200 });
    }
  });

  test('is authenticated by x-api-key when both are keys', async () => {
    const revoked = `hangup_live_${'x'.repeat(43)}`;
    expect(await send({ 'x-api-key': revoked, authorization: `Bearer ${hangup.key}` })).toMatchObject({
      status: 401,
    });
    expect(await send({ 'x-api-key': hangup.key, authorization: `Bearer ${revoked}` })).toMatchObject({
      status: 200,
    });
  });
});

describe('the logged address of a client whose key is refused', () => {
  const addressOf = async (path: string, key: string | null, forwarded?: string) => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    const answer = await hangup.send('GET', path, { key, headers });
    const requestId = answer.headers.get('x-request-id');
    const line = () => hangup.log.find(({ fields }) => fields.requestId === requestId);
    await expect.poll(() => line()).toBeDefined();
    return line()?.fields.remoteAddress;
  };

  test.each([
    ['/api/v1/calls', undefined, '127.0.0.1'],
    ['/trpc/calls.list', undefined, '127.0.0.1'],
    ['/trpc/calls.list,calls.none?batch=1', undefined, '127.0.0.1'],
    ['/api/v1/calls', '203.0.113.7', '203.0.113.7'],
    ['/api/v1/calls', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['/api/v1/calls', '198.51.100.1, 203.0.113.7, 10.1.2.3', '203.0.113.7'],
    ['/api/v1/calls', '203.0.113.7:50123, [2001:db8::1]:443', '203.0.113.7'],
    ['/api/v1/calls', '::ffff:203.0.113.7', '203.0.113.7'],
    ['/api/v1/calls', '::ffff:cb00:7101', '203.0.113.1'],
    ['/api/v1/calls', '[0:0:0:0:0:FFFF:cb00:7101]:4711', '203.0.113.1'],
    ['/api/v1/calls', '::fffe:cb00:7101', '::fffe:cb00:7101'],
    ['/api/v1/calls', '203.0.113.7, <script>', '127.0.0.1'],
    ['/api/v1/calls', '203.0.113.7, unknown, 10.1.2.3', '10.1.2.3'],
  ])('for %s with x-forwarded-for %s is %s', async (path, forwarded, address) => {
    expect(await addressOf(path, 'wrong', forwarded)).toBe(address);
  });

  test('ignores X-Forwarded-For when the peer is not a trusted proxy', async () => {
    const plain = await startHangup();
    onTestFinished(() => plain.stop());
    await plain.send('GET', '/api/v1/calls', { key: null, headers: { 'x-forwarded-for': '203.0.113.7' } });
    await expect.poll(() => plain.log.some(({ fields }) => fields.status === 401)).toBe(true);
    expect(plain.log.find(({ fields }) => fields.status === 401)?.fields.remoteAddress).toBe('127.0.0.1');
  });

  test('is absent for a request with a valid key', async () => {
    expect(await addressOf('/api/v1/calls', hangup.key, '203.0.113.7')).toBeUndefined();
  });

  test('is present for an unsigned webhook', async () => {
    const answer = await hangup.send('POST', '/webhooks/livekit', { key: null, body: {} });
    expect(answer.status).toBe(401);
    const requestId = answer.headers.get('x-request-id');
    const line = () => hangup.log.find(({ fields }) => fields.requestId === requestId);
    await expect.poll(() => line()).toBeDefined();
    expect(line()?.fields.remoteAddress).toBe('127.0.0.1');
  });
});

describe('text with characters that look alike', () => {
  test('is kept apart: an agentId in NFC and one in NFD are two agents', async () => {
    const [composed, decomposed] = ['Zoé'.normalize('NFC'), 'Zoé'.normalize('NFD')];
    await create({ id: 'composed', agentId: composed });
    await create({ id: 'decomposed', agentId: decomposed });
    expect(await idsOf(`agentId=${encodeURIComponent(composed)}`)).toEqual(['composed']);
    expect(await idsOf(`agentId=${encodeURIComponent(decomposed)}`)).toEqual(['decomposed']);
  });

  test.each([
    '\u202e',
    '\u200e',
    '\u2066',
    '\u061c',
    '\u200b',
    '\ufeff',
    '\u00ad',
    '\u3164',
    '\u2028',
    '\ufe0f',
    '\u034f',
  ])('is refused with 400 in a phone number with %j', async (character) => {
    const number = `+1555${character}1234567`;
    const message = (name: string) => refused(`${name}: must not contain invisible characters`);
    expect(await create({ phoneNumber: number })).toMatchObject(message('phoneNumber'));
    expect(await create({ contact: { phone: number } })).toMatchObject(message('contact.phone'));
    expect(await list(`phoneNumber=${encodeURIComponent(number)}`)).toMatchObject(message('phoneNumber'));
  });
});

describe('a path', () => {
  test.each(['.', '..'])('cannot name a call with the id %s, which POST /calls refuses', async (id) => {
    expect(await create({ id })).toMatchObject(refused('id: must not be . or ..'));
  });

  test.each([
    '/trpc/calls%2Elist',
    '/trpc//calls.list',
    '/trpc/calls.list/',
    '/trpc/calls/list',
    '/trpc/calls.list;x',
    '/trpc/calls.LIST',
    '/trpc/constructor',
    '/trpc/__proto__',
    '/trpc/',
    '/trpc/%ff',
  ])('%s returns 404', async (path) => {
    expect(await hangup.send('GET', path)).toMatchObject({
      status: 404,
      body: {
        error: { message: expect.stringContaining('No procedure found on path'), data: { httpStatus: 404 } },
      },
    });
  });

  test.each(['a%2Fb', 'active%2F', '%61ctive%00', 'active;x=1', 'active%20', '%ff', 'active%3Fx'])(
    'with the call id %s returns 404',
    async (id) => {
      expect(await hangup.send('DELETE', `/api/v1/calls/${id}`)).toMatchObject({
        status: 404,
        body: { error: { message: 'Call not found' } },
      });
    },
  );

  test('with a percent-encoded letter names the same call', async () => {
    expect(await hangup.send('GET', '/api/v1/calls/%61ctive')).toMatchObject({ status: 200 });
  });

  test('of a batch with percent-encoded commas names the same batch', async () => {
    expect(
      await hangup.send('GET', '/trpc/calls.list%2Ccalls.list?batch=1&input={"0":{},"1":{}}'),
    ).toMatchObject({
      status: 200,
      body: [{ result: {} }, { result: {} }],
    });
  });
});
