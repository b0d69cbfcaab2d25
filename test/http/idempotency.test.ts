import SqliteDatabase from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Hangup, onSqlite, startHangup } from '../harness/hangup.ts';
import { sendRaw } from '../harness/raw-http.ts';
import { WAIT } from '../harness/time.ts';
import { startTimedHangup } from '../harness/timed-hangup.ts';

/* Requests that repeat an Idempotency-Key. Bodies are compared as text. */

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly isReplay: boolean;
}

interface Options {
  readonly key?: string | undefined;
  readonly body?: unknown;
  readonly apiKey?: string;
  readonly headers?: Record<string, string>;
}

const DAY_MS = 24 * 3_600_000;
const REUSED = 'Idempotency-Key was already used for another request';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

let count = 0;
/** Returns a name that no other test has. */
function unique(prefix = 'k'): string {
  count += 1;
  return `${prefix}-${count}`;
}

async function send(
  method: string,
  path: string,
  { key, body, apiKey, headers }: Options = {},
  { url, key: ownKey }: Pick<Hangup, 'url' | 'key'> = hangup,
): Promise<Reply> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      'x-api-key': apiKey ?? ownKey,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(key !== undefined && { 'idempotency-key': key }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const replayed = response.headers.get('idempotent-replayed');
  expect([null, 'true']).toContain(replayed);
  return { status: response.status, text: await response.text(), isReplay: replayed !== null };
}

const register = (body: object, options: Options = {}, of?: Pick<Hangup, 'url' | 'key'>) =>
  send('POST', '/api/v1/calls', { ...options, body }, of);
const cancel = (id: string, options: Options = {}, of?: Pick<Hangup, 'url' | 'key'>) =>
  send('DELETE', `/api/v1/calls/${id}`, options, of);
const STOPS = '/api/v1/cancellations';
const stop = (body: object, options: Options = {}) => send('POST', STOPS, { ...options, body });
const trpc = (procedure: string, input: object, options: Options = {}) =>
  send('POST', `/trpc/${procedure}`, { ...options, body: input });

async function insertCall(parts: object = {}): Promise<string> {
  const id = unique('call');
  await hangup.insertCall({ id, status: 'active', ...parts });
  return id;
}

/** The first response again, byte for byte, with the header. */
const replayOf = (first: Reply): Reply => ({ ...first, isReplay: true });

const idOf = ({ text }: Reply): string => JSON.parse(text).data.id;
const messageOf = ({ text }: Reply): string => JSON.parse(text).error.message;

async function countCalls(agentId: string): Promise<number> {
  const { text } = await send('GET', `/api/v1/calls?agentId=${agentId}`);
  return JSON.parse(text).data.pagination.total;
}

describe('a repeated request gets the first response', () => {
  test('for a registration, and one call is on record', async () => {
    const key = unique();
    const body = {
      agentId: key,
      direction: 'inbound',
      phoneNumber: '+15551234567',
      contact: { name: 'é 😀', email: 'a@b.example' },
      scheduledAt: '2026-11-23T08:00:00+01:00',
      metadata: JSON.parse('{"b":1,"a":[1.5,{"__proto__":{"x":null}}],"10":"x","9":"y"}'),
    };
    const first = await register(body, { key });
    expect(first).toMatchObject({ status: 201, isReplay: false });
    expect(await register(body, { key })).toEqual(replayOf(first));
    expect(await countCalls(key)).toBe(1);
    const other = await register(body, { key: unique() });
    expect(other.isReplay).toBe(false);
    expect(idOf(other)).not.toBe(idOf(first));
  });

  test('for a registration whose call has changed', async () => {
    const key = unique();
    const first = await register({}, { key });
    await cancel(idOf(first));
    expect(await register({}, { key })).toEqual(replayOf(first));
  });

  test('for a cancel', async () => {
    const id = await insertCall();
    const key = unique();
    const first = await cancel(id, { key });
    expect(first).toMatchObject({ status: 200, isReplay: false });
    expect(await cancel(id, { key })).toEqual(replayOf(first));
    expect(await cancel(id)).toMatchObject({ status: 400, isReplay: false });
  });

  test('for a cancellation, and one cancellation is on record', async () => {
    const apiKey = await hangup.createKey(unique('stopped'));
    await register({}, { apiKey });
    const key = unique();
    const body = { all: true, reason: 'a', hold: true };
    const first = await stop(body, { key, apiKey });
    expect(first).toMatchObject({ status: 202, isReplay: false });
    await expect
      .poll(async () => JSON.parse((await send('GET', `${STOPS}/${idOf(first)}`, { apiKey })).text), WAIT)
      .toMatchObject({ data: { state: 'completed', counts: { cancelled: 1 } } });
    // A replay is the first response, with the state and the counts of that time.
    expect(await stop(body, { key, apiKey })).toEqual(replayOf(first));
    expect(await stop({ ...body, hold: false }, { key, apiKey })).toMatchObject({ status: 422 });
    const { text } = await send('GET', STOPS, { apiKey });
    expect(JSON.parse(text)).toMatchObject({ data: { cancellations: [{ id: idOf(first) }] } });
    expect(JSON.parse(text).data.cancellations).toHaveLength(1);

    const lifting = unique();
    const path = `${STOPS}/${idOf(first)}/hold`;
    const lifted = await send('DELETE', path, { key: lifting, apiKey });
    expect(lifted).toMatchObject({ status: 200, isReplay: false });
    expect(await send('DELETE', path, { key: lifting, apiKey })).toEqual(replayOf(lifted));
    expect(await send('DELETE', path, { key, apiKey })).toMatchObject({ status: 422, isReplay: false });
  });

  test('for a dry run, and for a cancellation of more calls than expected', async () => {
    const apiKey = await hangup.createKey(unique('stopped'));
    await register({}, { apiKey });
    const [trying, refusing] = [unique(), unique()];
    const dryRun = { all: true, reason: 'a', dryRun: true };
    const preview = await stop(dryRun, { key: trying, apiKey });
    expect(preview).toMatchObject({ status: 200, isReplay: false });
    const tooMany = { all: true, reason: 'a', expectedAtMost: 0 };
    const refused = await stop(tooMany, { key: refusing, apiKey });
    expect([refused.status, messageOf(refused)]).toEqual([
      412,
      'Matches 1 calls, more than expectedAtMost: 0',
    ]);
    await register({}, { apiKey });
    expect(await stop(dryRun, { key: trying, apiKey })).toEqual(replayOf(preview));
    expect(await stop(tooMany, { key: refusing, apiKey })).toEqual(replayOf(refused));
    expect(await stop({ all: true, reason: 'a' }, { key: trying, apiKey })).toMatchObject({ status: 422 });
  });

  test('for a cancellation of 10,000 ids', async () => {
    const callIds = Array.from({ length: 10_000 }, (_, i) => String(i).padStart(128, 'x'));
    const key = unique();
    const first = await stop({ callIds, reason: 'a' }, { key });
    expect(first).toMatchObject({ status: 202, isReplay: false });
    expect(await stop({ callIds, reason: 'a' }, { key })).toEqual(replayOf(first));
    const others = [...callIds.slice(1), 'y'];
    expect(await stop({ callIds: others, reason: 'a' }, { key })).toMatchObject({ status: 422 });
  });

  test('for a registration that a hold refused, also after the hold was lifted', async () => {
    const apiKey = await hangup.createKey(unique('stopped'));
    const started = await stop({ all: true, reason: 'a', hold: true }, { apiKey });
    const key = unique();
    const refused = await register({}, { key, apiKey });
    expect(refused).toMatchObject({ status: 409, isReplay: false });
    await send('DELETE', `${STOPS}/${idOf(started)}/hold`, { apiKey });
    expect(await register({}, { key, apiKey })).toEqual(replayOf(refused));
    expect(await register({}, { key: unique(), apiKey })).toMatchObject({ status: 201 });
  });

  test('when the first response was a refusal', async () => {
    const id = await insertCall({ status: 'completed', endedAt: 2_000 });
    const cancelKey = unique();
    const refused = await cancel(id, { key: cancelKey });
    expect(refused).toMatchObject({ status: 400, isReplay: false });
    expect(messageOf(refused)).toBe('Cannot cancel call with status: completed');
    expect(await cancel(id, { key: cancelKey })).toEqual(replayOf(refused));

    const taken = unique();
    const conflict = await register({ id }, { key: taken });
    expect(conflict).toMatchObject({ status: 409, isReplay: false });
    expect(messageOf(conflict)).toBe('Call id is already taken');
    expect(await register({ id }, { key: taken })).toEqual(replayOf(conflict));
  });

  test('when the room name was taken, also after the room is free', async () => {
    const roomName = await insertCall();
    const key = unique();
    const refused = await register({ roomName }, { key });
    expect(refused).toMatchObject({ status: 409, isReplay: false });
    expect(await cancel(roomName)).toMatchObject({ status: 200 });
    expect(await register({ roomName }, { key })).toEqual(replayOf(refused));
    expect(await register({ roomName }, { key: unique() })).toMatchObject({ status: 201 });
  });

  test('to all but one of many equal requests at once', async () => {
    const key = unique();
    const replies = await Promise.all(Array.from({ length: 20 }, () => register({ agentId: key }, { key })));
    const [first, ...others] = replies.toSorted((a, b) => Number(a.isReplay) - Number(b.isReplay));
    expect(first).toMatchObject({ status: 201, isReplay: false });
    expect(new Set(others.map((reply) => JSON.stringify(reply)))).toEqual(
      new Set([JSON.stringify({ ...first, isReplay: true })]),
    );
    expect(await countCalls(key)).toBe(1);
  });

  test('with the same fields in another order, and the same time in another zone', async () => {
    const key = unique();
    const first = await register(
      { agentId: 'a', scheduledAt: '2026-11-23T08:00:00Z', metadata: { x: 1, y: 2 } },
      { key },
    );
    const again = { metadata: { y: 2, x: 1 }, scheduledAt: '2026-11-23T09:00:00+01:00', agentId: 'a' };
    expect(await register(again, { key })).toEqual(replayOf(first));
  });

  test('by another key of the same organization', async () => {
    const key = unique();
    const first = await register({}, { key });
    expect(await register({}, { key, apiKey: await hangup.createKey('acme') })).toEqual(replayOf(first));
  });

  test('after the call was pruned', async () => {
    const registration = unique();
    const registered = await register({}, { key: registration });
    const id = idOf(registered);
    const [cancelling, refusing] = [unique(), unique()];
    const cancelled = await cancel(id, { key: cancelling });
    const refused = await cancel(id, { key: refusing });
    expect([cancelled.status, refused.status]).toEqual([200, 400]);
    await hangup.store.pruneCalls({ before: Number.MAX_SAFE_INTEGER, limit: 1_000 });
    expect(await cancel(id)).toMatchObject({ status: 404 });
    expect(await cancel(id, { key: unique() })).toMatchObject({ status: 404, isReplay: false });
    expect(await cancel(id, { key: cancelling })).toEqual(replayOf(cancelled));
    expect(await cancel(id, { key: refusing })).toEqual(replayOf(refused));
    expect(await register({}, { key: registration })).toEqual(replayOf(registered));
    expect(await cancel(`${id}?reason=other`, { key: cancelling })).toMatchObject({ status: 422 });
    // 404 comes before 400, also with a key.
    expect(await cancel(`${id}?reason=`, { key: cancelling })).toMatchObject({ status: 404 });
    expect(await cancel(id, { key: 'x'.repeat(256) })).toMatchObject({ status: 404 });
    const reader = await hangup.createKey('acme', ['calls:read']);
    expect(await cancel(id, { key: cancelling, apiKey: reader })).toMatchObject({ status: 404 });
  });
});

describe('an Idempotency-Key', () => {
  test('of another request gets 422, also on another endpoint, and changes nothing', async () => {
    const [id, other] = [await insertCall(), await insertCall()];
    const key = unique();
    const first = await cancel(id, { key });
    const refused = [
      await cancel(other, { key }),
      await cancel(`${id}?reason=a`, { key }),
      await register({ agentId: key }, { key }),
      await stop({ all: true, reason: 'a' }, { key }),
    ];
    for (const reply of refused) {
      expect(reply).toMatchObject({ status: 422, isReplay: false });
      expect(messageOf(reply)).toBe(REUSED);
    }
    expect((await hangup.store.findCall(other))?.call.status).toBe('active');
    expect(await countCalls(key)).toBe(0);
    expect(await cancel(id, { key })).toEqual(replayOf(first));

    const registration = unique();
    await register({ metadata: { a: null } }, { key: registration });
    expect(await register({ metadata: {} }, { key: registration })).toMatchObject({ status: 422 });
    expect(await register({ metadata: { a: [] } }, { key: registration })).toMatchObject({ status: 422 });
    expect(await cancel(other, { key: registration })).toMatchObject({ status: 422 });
  });

  test('of another organization is another key', async () => {
    const key = unique();
    const first = await register({}, { key });
    const theirs = await hangup.createKey('other');
    const second = await register({}, { key, apiKey: theirs });
    expect(second).toMatchObject({ status: 201, isReplay: false });
    expect(idOf(second)).not.toBe(idOf(first));
    expect(await register({}, { key, apiKey: theirs })).toEqual(replayOf(second));
    expect(await register({}, { key })).toEqual(replayOf(first));
  });

  test.each([
    ['abc', '"abc"'],
    ['a b, c=d;e', '"a b, c=d;e"'],
    [String.raw`a"b\c`, String.raw`"a\"b\\c"`],
    ['x'.repeat(255), `"${'x'.repeat(255)}"`],
    ['é', '"é"'],
  ])('%s is the same key alone and in quotes', async (bare, quoted) => {
    const agentId = unique();
    const apiKey = await hangup.createKey(agentId);
    const first = await register({ agentId }, { key: bare, apiKey });
    expect(first).toMatchObject({ status: 201, isReplay: false });
    expect(await register({ agentId }, { key: quoted, apiKey })).toEqual(replayOf(first));
    expect(await trpc('calls.create', { agentId, idempotencyKey: bare }, { apiKey })).toMatchObject({
      status: 200,
      isReplay: true,
    });
  });

  test('of one character is accepted', async () => {
    const apiKey = await hangup.createKey(unique());
    expect(await register({}, { key: 'k', apiKey })).toMatchObject({ status: 201 });
    expect(await register({}, { key: '"k"', apiKey })).toMatchObject({ status: 201, isReplay: true });
  });

  test.each([
    ['empty', ''],
    ['empty in quotes', '""'],
    ['of 256 characters', 'x'.repeat(256)],
    ['of 256 characters in quotes', `"${'x'.repeat(256)}"`],
    ['a quote alone', '"'],
    ['without the last quote', '"abc'],
    ['without the first quote', 'abc"'],
    ['with a quote inside quotes', '"a"b"'],
    ['with an escape that is not defined', String.raw`"a\nb"`],
    ['with the last quote escaped', String.raw`"abc\"`],
    ['with a parameter', '"abc";a=1'],
    ['with two quoted strings', '"abc", "def"'],
    ['with a control character', 'a\tb'],
  ])('that is %s gets 400, and changes nothing', async (_, key) => {
    const id = await insertCall();
    const refused = [await cancel(id, { key }), await register({ agentId: id }, { key })];
    for (const reply of refused) {
      expect(reply).toMatchObject({ status: 400, isReplay: false });
      expect(messageOf(reply)).toMatch(/^Idempotency-Key: /);
    }
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
    expect(await countCalls(id)).toBe(0);
  });

  test.each([
    ['two', ['a', 'b']],
    ['two equal', ['a', 'a']],
    ['an empty and another', ['', 'a']],
  ])('in %s headers gets 400', async (_, keys) => {
    const id = await insertCall();
    const lines = keys.map((key) => `Idempotency-Key: ${key}\r\n`).join('');
    const reply = await sendRaw(
      hangup.url,
      `DELETE /api/v1/calls/${id} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: ${hangup.key}\r\n${lines}\r\n`,
    );
    expect(reply).toMatchObject({
      status: 400,
      body: { error: { message: 'Idempotency-Key: expected once' } },
    });
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
  });

  test('in the query or in the body is an unknown input', async () => {
    const id = await insertCall();
    const message = 'Unrecognized key: "idempotencyKey"';
    const refused = [
      await cancel(`${id}?idempotencyKey=a`),
      await cancel(id, { body: { idempotencyKey: 'a' } }),
      await register({ idempotencyKey: 'a' }),
    ];
    expect(refused.map((reply) => [reply.status, messageOf(reply)])).toEqual(
      refused.map(() => [400, message]),
    );
  });

  test('of a GET is ignored', async () => {
    const id = await insertCall();
    const key = unique();
    await cancel(id, { key });
    for (const header of [key, '"', 'x'.repeat(256)]) {
      for (const path of [`/api/v1/calls/${id}`, '/api/v1/calls?limit=1', `/api/v1/calls/${id}/events`]) {
        expect(await send('GET', path, { key: header })).toMatchObject({ status: 200, isReplay: false });
      }
      const query = `input=${encodeURIComponent(JSON.stringify({ callId: id }))}`;
      expect(await send('GET', `/trpc/calls.get?${query}`, { key: header })).toMatchObject({ status: 200 });
    }
  });
});

describe('a request that was refused before it ran leaves its key unused', () => {
  test('after 400, 401, 403, 413 and 415', async () => {
    const key = unique();
    const post = (options: Options) => send('POST', '/api/v1/calls', { key, ...options });
    const reader = await hangup.createKey('acme', ['calls:read']);
    const refused = [
      await post({ body: { direction: 'sideways' } }),
      await post({ body: '{' }),
      await post({ body: {}, apiKey: `hangup_live_${'a'.repeat(43)}` }),
      await post({ body: {}, apiKey: reader }),
      await post({ body: { agentId: 'x'.repeat(1024 * 1024) } }),
      await post({ body: '{}', headers: { 'content-type': 'text/plain' } }),
    ];
    expect(refused.map(({ status, isReplay }) => [status, isReplay])).toEqual(
      [400, 400, 401, 403, 413, 415].map((status) => [status, false]),
    );
    expect(await post({ body: { agentId: key } })).toMatchObject({ status: 201, isReplay: false });
  });

  test('after 404', async () => {
    const key = unique();
    const id = unique('late');
    expect(await cancel(id, { key })).toMatchObject({ status: 404, isReplay: false });
    await hangup.insertCall({ id });
    expect(await cancel(id, { key })).toMatchObject({ status: 200, isReplay: false });
  });

  test('after 422', async () => {
    const [used, id] = [unique(), await insertCall()];
    await register({}, { key: used });
    expect(await cancel(id, { key: used })).toMatchObject({ status: 422 });
    expect(await cancel(id, { key: unique() })).toMatchObject({ status: 200 });
  });

  onSqlite('after 503 and 500', async () => {
    const own = await startHangup();
    onTestFinished(() => own.stop());
    const key = unique();
    const other = new SqliteDatabase(own.databaseFile);
    onTestFinished(() => {
      other.close();
    });
    // The first use of the key is recorded before the lock.
    await send('GET', '/api/v1/calls', {}, own);
    other.exec('BEGIN IMMEDIATE');
    expect(await register({}, { key }, own)).toMatchObject({ status: 503, isReplay: false });
    other.exec('ROLLBACK');
    // The audit row is written after the call and before the key.
    other.exec('ALTER TABLE audit_log RENAME TO hidden');
    expect(await register({}, { key }, own)).toMatchObject({ status: 500, isReplay: false });
    other.exec('ALTER TABLE hidden RENAME TO audit_log');
    expect(other.prepare('SELECT count(*) FROM idempotency_keys').pluck().get()).toBe(0);
    expect(await register({}, { key }, own)).toMatchObject({ status: 201, isReplay: false });
    expect(await register({}, { key }, own)).toMatchObject({ status: 201, isReplay: true });
    expect(other.prepare('SELECT count(*) FROM calls').pluck().get()).toBe(1);
  });
});

test('a first response is repeated for 24 h, and then a request runs again', async () => {
  const { hangup: timed, clock } = await startTimedHangup();
  const key = unique();
  const first = await register({}, { key }, timed);
  clock.advance(DAY_MS - 60_000);
  expect(await register({}, { key }, timed)).toEqual(replayOf(first));
  clock.advance(120_000);
  const second = await register({}, { key }, timed);
  expect(second).toMatchObject({ status: 201, isReplay: false });
  expect(idOf(second)).not.toBe(idOf(first));
  // The replay is that of the second response, for another 24 h.
  expect(await register({}, { key }, timed)).toEqual(replayOf(second));
  clock.advance(DAY_MS - 60_000);
  expect(await register({}, { key }, timed)).toEqual(replayOf(second));
});

describe('over tRPC', () => {
  const result = (data: unknown) => JSON.stringify({ result: { data } });

  test('the key of a REST request gets the first response, and the other way round', async () => {
    const key = unique();
    const body = { agentId: key, metadata: { a: 1 } };
    const first = await register(body, { key });
    const { data } = JSON.parse(first.text);
    const overTrpc = { status: 200, text: result(data), isReplay: true };
    expect(await trpc('calls.create', body, { key })).toEqual(overTrpc);
    expect(await trpc('calls.create', { ...body, idempotencyKey: key })).toEqual(overTrpc);

    const id = await insertCall();
    const cancelling = unique();
    const cancelled = await trpc('calls.cancel', { callId: id, reason: 'a', idempotencyKey: cancelling });
    expect(cancelled).toEqual({ status: 200, text: result({ id, status: 'cancelled' }), isReplay: false });
    expect(await cancel(`${id}?reason=a`, { key: cancelling })).toMatchObject({
      status: 200,
      isReplay: true,
    });
    expect(await cancel(id, { key: cancelling })).toMatchObject({ status: 422 });
  });

  test.each([
    ['hangup', {}],
    ["tRPC's handler", { 'trpc-accept': 'application/json' }],
  ])('a replay and a replayed refusal from %s have the header', async (_, headers) => {
    const key = unique();
    const input = { idempotencyKey: key };
    const first = await trpc('calls.create', input, { headers });
    expect(first).toMatchObject({ status: 200, isReplay: false });
    expect(await trpc('calls.create', input, { headers })).toEqual(replayOf(first));
    const id = await insertCall({ status: 'completed', endedAt: 2_000 });
    const ended = { callId: id, idempotencyKey: unique() };
    const refused = await trpc('calls.cancel', ended, { headers });
    expect(refused).toMatchObject({ status: 400, isReplay: false });
    expect(await trpc('calls.cancel', ended, { headers })).toEqual(replayOf(refused));
  });

  test('the header is the key of a single call, also in a batch of one', async () => {
    const key = unique();
    const first = await trpc('calls.create', {}, { key: `"${key}"` });
    expect(first).toMatchObject({ status: 200, isReplay: false });
    expect(await trpc('calls.create', { idempotencyKey: key }, { key })).toEqual(replayOf(first));
    const batch = await trpc('calls.create?batch=1', { 0: {} }, { key });
    expect(batch).toEqual({ status: 200, text: `[${first.text}]`, isReplay: true });
  });

  test('a streamed batch gets the first result', async () => {
    const key = unique();
    const headers = { 'trpc-accept': 'application/jsonl' };
    const stream = () => trpc('calls.create?batch=1', { 0: { agentId: key } }, { key, headers });
    const first = await stream();
    expect(first.status).toBe(200);
    const again = await stream();
    expect(again.status).toBe(200);
    expect(again.text.match(/call_\w+/)).toEqual(first.text.match(/call_\w+/));
    expect(await countCalls(key)).toBe(1);
  });

  test('a header that differs from the input gets 400', async () => {
    const key = unique();
    const reply = await trpc('calls.create', { idempotencyKey: key }, { key: unique() });
    expect(reply).toMatchObject({ status: 400, isReplay: false });
    expect(messageOf(reply)).toBe('Idempotency-Key: differs from the input idempotencyKey');
    expect(await trpc('calls.create', { idempotencyKey: key })).toMatchObject({ isReplay: false });
  });

  test('an invalid key gets 400', async () => {
    const inHeader = await trpc('calls.create', {}, { key: '"' });
    expect([inHeader.status, messageOf(inHeader)]).toEqual([
      400,
      expect.stringMatching(/^Idempotency-Key: expected/),
    ]);
    for (const idempotencyKey of ['', 'x'.repeat(256), 1, null]) {
      const inInput = await trpc('calls.create', { idempotencyKey });
      expect([inInput.status, messageOf(inInput)]).toEqual([400, expect.stringMatching(/^idempotencyKey: /)]);
    }
  });

  test.each([
    ['null', 'null'],
    ['a list', '[]'],
    ['none', undefined],
  ])('a header does not make an invalid input valid: %s', async (_, body) => {
    const reply = await send('POST', '/trpc/calls.create', { key: unique(), body });
    expect(reply).toMatchObject({ status: 400, isReplay: false });
  });

  test('a batch has a key for each call, no header, and 400 with the header', async () => {
    const [a, b] = [unique(), unique()];
    const inputs = { 0: { agentId: a, idempotencyKey: a }, 1: { agentId: b, idempotencyKey: b } };
    const path = 'calls.create,calls.create?batch=1';
    const refused = await trpc(path, inputs, { key: a });
    expect(refused.status).toBe(400);
    const messages = JSON.parse(refused.text).map((one: { error: { message: string } }) => one.error.message);
    expect(messages).toEqual(
      [a, b].map(() => 'Idempotency-Key: expected with one call. Set the input idempotencyKey of each call.'),
    );
    expect([await countCalls(a), await countCalls(b)]).toEqual([0, 0]);
    const first = await trpc(path, inputs);
    expect(first.status).toBe(200);
    expect(await trpc(path, inputs)).toEqual({ ...first, isReplay: false });
    expect([await countCalls(a), await countCalls(b)]).toEqual([1, 1]);
  });

  test('a pruned call gets the first response', async () => {
    const id = await insertCall();
    const key = unique();
    const first = await trpc('calls.cancel', { callId: id }, { key });
    await hangup.store.pruneCalls({ before: Number.MAX_SAFE_INTEGER, limit: 1_000 });
    expect(await trpc('calls.cancel', { callId: id })).toMatchObject({ status: 404 });
    expect(await trpc('calls.cancel', { callId: id }, { key })).toEqual(replayOf(first));
    expect(await trpc('calls.cancel', { callId: id, idempotencyKey: key })).toEqual(replayOf(first));
  });
});
