import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CALL_STATUSES, isLive } from '../../src/domain/call-status.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

let calls = 0;
async function insertLiveCall(parts: object = {}) {
  calls += 1;
  const id = `cancel-${calls}`;
  await hangup.insertCall({ id, status: 'active', ...parts });
  return id;
}
const cancel = (id: string, options?: Parameters<Hangup['send']>[2]) =>
  hangup.send('DELETE', `/api/v1/calls/${id}`, options);
const error = (code: number, message: string) => ({ error: { message, code } });

describe('DELETE /calls/{callId} returns 200', () => {
  test('and cancels a live call, disconnects both participants and deletes the room', async () => {
    const id = await insertLiveCall();
    const people = await Promise.all([hangup.livekit.join(id, 'agent'), hangup.livekit.join(id, 'caller')]);
    const answer = await cancel(id);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(answer.body).toEqual({
      data: { id, status: 'cancelled' },
      message: 'Call cancelled successfully',
    });
    expect(await Promise.all(people.map(({ disconnected }) => disconnected))).toEqual([
      'ROOM_DELETED',
      'ROOM_DELETED',
    ]);
    expect(await hangup.livekit.roomNames()).not.toContain(id);
    expect(await hangup.store.findCall(id)).toMatchObject({
      call: { status: 'cancelled', endedAt: expect.any(Number) },
      deletion: { state: 'completed', attempt: 1, lastError: null },
    });
  });

  test('and completes the deletion when the room does not exist', async () => {
    const id = await insertLiveCall();
    expect(await cancel(id)).toMatchObject({ status: 200 });
    expect((await hangup.store.findCall(id))?.deletion).toMatchObject({ state: 'completed', attempt: 1 });
  });

  test('and stores the reason', async () => {
    const id = await insertLiveCall();
    expect(await cancel(`${id}?reason=${encodeURIComponent('caller request: “stop” 😀')}`)).toMatchObject({
      status: 200,
    });
    const { body } = await hangup.send('GET', `/api/v1/calls/${id}`);
    expect(body).toMatchObject({
      data: {
        status: 'cancelled',
        cancelReason: 'caller request: “stop” 😀',
        cancelledBy: expect.stringMatching(/^key_/),
      },
    });
  });

  test('when the key is a Bearer token', async () => {
    const id = await insertLiveCall();
    const headers = { authorization: `Bearer ${hangup.key}` };
    expect(await cancel(id, { key: null, headers })).toMatchObject({ status: 200 });
  });

  test('with the first answer when a request repeats an Idempotency-Key', async () => {
    const id = await insertLiveCall();
    const headers = { 'idempotency-key': `key of ${id}` };
    const first = await cancel(id, { headers });
    const second = await cancel(id, { headers });
    expect(first.status).toBe(200);
    expect(second).toMatchObject({ status: 200, body: first.body });
  });

  test('and the cancel and its deletion complete, when the client disconnects at once', async () => {
    const id = await insertLiveCall();
    const person = await hangup.livekit.join(id, 'caller');
    await new Promise<void>((resolve, reject) => {
      const sent = request(`${hangup.url}/api/v1/calls/${id}`, {
        method: 'DELETE',
        headers: { 'x-api-key': hangup.key },
      });
      sent.on('error', (cause) => (cause.message === 'socket hang up' ? resolve() : reject(cause)));
      sent.end(() => sent.destroy());
    });
    expect(await person.disconnected).toBe('ROOM_DELETED');
    await expect
      .poll(async () => {
        const record = await hangup.store.findCall(id);
        return record?.call.status === 'cancelled' && record.deletion?.state === 'completed';
      })
      .toBe(true);
  });
});

describe('DELETE /calls/{callId} returns 400', () => {
  test.each(CALL_STATUSES.filter((status) => !isLive(status)))(
    'when the call is already %s',
    async (status) => {
      const id = await insertLiveCall({ status, endedAt: 2_000 });
      const before = await hangup.store.findCall(id);
      expect(await cancel(id)).toMatchObject({
        status: 400,
        body: error(400, `Cannot cancel call with status: ${status}`),
      });
      expect(await hangup.store.findCall(id)).toEqual(before);
    },
  );

  test('to exactly one of two concurrent cancels (1,000 runs)', async () => {
    for (let i = 0; i < 1_000; i += 20) {
      // A few at a time, because a busy client does not notice connections that the single file has closed.
      const ids = await Promise.all(Array.from({ length: 20 }, () => insertLiveCall()));
      await Promise.all(
        ids.map(async (id) => {
          const answers = await Promise.all([cancel(id), cancel(id)]);
          const [first, second] = answers.sort((a, b) => a.status - b.status);
          expect(first).toMatchObject({ status: 200, body: { data: { id, status: 'cancelled' } } });
          expect(second).toMatchObject({
            status: 400,
            body: error(400, 'Cannot cancel call with status: cancelled'),
          });
        }),
      );
    }
  });

  test.each([
    ['a reason that is too long', `?reason=${'x'.repeat(501)}`, /^reason: /],
    ['a reason given twice', '?reason=a&reason=b', /^reason: /],
    ['an empty reason', '?reason=', /^reason: /],
    ['control characters in the reason', '?reason=a%00b', /^reason: must not contain control characters/],
    ['half of a surrogate pair in the reason', '?reason=%ED%A0%80%00', /^reason: /],
  ])('and changes nothing: %s', async (_, query, message) => {
    const id = await insertLiveCall();
    expect(await cancel(`${id}${query}`)).toMatchObject({
      status: 400,
      body: error(400, expect.stringMatching(message)),
    });
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
  });

  test('when the Idempotency-Key is too long', async () => {
    const id = await insertLiveCall();
    const headers = { 'idempotency-key': 'x'.repeat(256) };
    expect(await cancel(id, { headers })).toMatchObject({ status: 400 });
  });
});

describe('DELETE /calls/{callId} returns 401', () => {
  test.each<[string, Record<string, string>]>([
    ['no key', {}],
    ['an unknown key', { 'x-api-key': `hangup_live_${'a'.repeat(43)}` }],
    ['a malformed key', { 'x-api-key': 'hunter2' }],
    ['an empty key', { 'x-api-key': '' }],
    ['a Basic authorization', { authorization: 'Basic aHVudGVyMg==' }],
  ])('when the request has %s', async (_, headers) => {
    const id = await insertLiveCall();
    expect(await cancel(id, { key: null, headers })).toMatchObject({
      status: 401,
      body: error(401, 'Unauthorized'),
    });
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
  });

  test('when the key is revoked or expired', async () => {
    const id = await insertLiveCall();
    const revoked = await hangup.createKey('acme');
    const newest = (await hangup.store.listApiKeys()).at(-1);
    await hangup.store.revokeApiKey({ id: newest?.id ?? '', now: 1 });
    const expired = await hangup.createKey('acme', ['calls:cancel'], 1);
    for (const key of [revoked, expired]) expect(await cancel(id, { key })).toMatchObject({ status: 401 });
  });
});

describe('DELETE /calls/{callId} returns 403', () => {
  test('without any detail when the call belongs to another organization', async () => {
    const id = await insertLiveCall({ phoneNumber: '+15551234567' });
    const key = await hangup.createKey('other');
    for (const method of ['DELETE', 'GET']) {
      expect(await hangup.send(method, `/api/v1/calls/${id}`, { key })).toMatchObject({
        status: 403,
        body: error(403, 'Access denied - call belongs to different organization'),
      });
    }
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
  });

  test('and names the scope that the key lacks', async () => {
    const id = await insertLiveCall();
    const key = await hangup.createKey('acme', ['calls:read']);
    expect(await cancel(id, { key })).toMatchObject({
      status: 403,
      body: error(403, 'Access denied - API key lacks scope: calls:cancel'),
    });
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
  });
});

describe('DELETE /calls/{callId} returns 404', () => {
  test.each([
    ['an unknown id', 'call_unknown'],
    ['an id that is too long', 'x'.repeat(200)],
    ['a percent-encoded slash', 'a%2Fb'],
    ['percent-encoded dots and slashes', '..%2F..%2Fetc%2Fpasswd'],
    ['an invalid percent-encoding', '%zz'],
    ['a control character', 'a%00b'],
    ['unicode', '%F0%9F%98%80'],
    ['__proto__', '__proto__'],
    ['SQL', "'%20OR%201=1--"],
  ])('for %s', async (_, id) => {
    for (const method of ['DELETE', 'GET']) {
      expect(await hangup.send(method, `/api/v1/calls/${id}`)).toMatchObject({
        status: 404,
        body: error(404, 'Call not found'),
      });
    }
  });
});

test('DELETE /calls/{callId} checks 401 before 404, and 404 and 403 before 400', async () => {
  const id = await insertLiveCall();
  const tooLong = `reason=${'x'.repeat(501)}`;
  const key = await hangup.createKey('other');
  expect(await cancel('unknown', { key: null })).toMatchObject({ status: 401 });
  expect(await cancel(`unknown?${tooLong}`)).toMatchObject({ status: 404 });
  expect(await cancel(`${id}?${tooLong}`, { key })).toMatchObject({ status: 403 });
  expect(await cancel(`${id}?${tooLong}`)).toMatchObject({ status: 400 });
});

describe('DELETE /calls/{callId} returns 422', () => {
  test('when the Idempotency-Key belongs to another request', async () => {
    const [id, another] = [await insertLiveCall(), await insertLiveCall()];
    const headers = { 'idempotency-key': `key of ${id}` };
    await cancel(id, { headers });
    const refused = {
      status: 422,
      body: error(422, 'Idempotency-Key was already used for another request'),
    };
    expect(await cancel(another, { headers })).toMatchObject(refused);
    expect(await cancel(`${id}?reason=changed`, { headers })).toMatchObject(refused);
    expect((await hangup.store.findCall(another))?.call.status).toBe('active');
  });
});

describe('DELETE /calls/{callId} returns 500', () => {
  test('when the store fails, changes nothing, and logs the cause', async () => {
    const broken = await startHangup({ livekit: hangup.livekit });
    try {
      await broken.insertCall({ id: 'broken-1', status: 'active' });
      // The audit row is written last, so the transaction must roll back all earlier writes.
      await broken.sql('ALTER TABLE audit_log RENAME TO hidden');
      const answer = await broken.send('DELETE', '/api/v1/calls/broken-1');
      expect(answer).toMatchObject({ status: 500, body: error(500, 'Internal server error') });
      const fields = expect.objectContaining({ requestId: answer.headers.get('x-request-id') });
      await expect.poll(() => broken.log).toContainEqual(expect.objectContaining({ level: 'error', fields }));
      await broken.sql('ALTER TABLE hidden RENAME TO audit_log');
      expect(await broken.store.findCall('broken-1')).toMatchObject({
        call: { status: 'active' },
        deletion: null,
      });
      expect(await broken.send('DELETE', '/api/v1/calls/broken-1')).toMatchObject({ status: 200 });
    } finally {
      await broken.stop();
    }
  });
});
