import { createHash, createHmac } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { AccessToken } from 'livekit-server-sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAX_MEMBERS } from '../../src/domain/roster.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { API_KEY, API_SECRET } from '../harness/livekit.ts';
import {
  AGENT,
  HUMAN,
  inboundPhone,
  outboundPhone,
  postWebhook,
  roomWebhooks,
  sign,
} from '../harness/webhooks.ts';

const SECOND_KEY = { apiKey: 'second', apiSecret: 'a-second-secret-of-32-characters-' };

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup({ settings: { webhookKeys: [SECOND_KEY] } });
});
afterAll(() => hangup.stop());

let calls = 0;
async function insertCallWithRoom(parts: object = {}) {
  calls += 1;
  const id = `door-${calls}`;
  await hangup.insertCall({ id, createdAt: Date.now() - 60_000, ...parts });
  return { id, room: roomWebhooks(id), status: async () => (await hangup.store.findCall(id))?.call.status };
}
const answerTo = (outcome: string) => ({ status: 200, body: { data: { outcome } } });

describe('POST /webhooks/livekit returns 200', () => {
  test('and applies an event', async () => {
    const { room, status } = await insertCallWithRoom();
    expect(await postWebhook(hangup.url, room.started())).toEqual(answerTo('applied'));
    expect(await status()).toBe('connecting');
  });

  test('and applies a repeated event once, in sequence and concurrently', async () => {
    const { id, room } = await insertCallWithRoom();
    const body = room.started();
    expect(await postWebhook(hangup.url, body)).toEqual(answerTo('applied'));
    expect(await postWebhook(hangup.url, body)).toEqual(answerTo('duplicate'));
    const end = room.finished();
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => postWebhook(hangup.url, end)));
    expect(outcomes.filter(({ body }) => JSON.stringify(body).includes('applied'))).toHaveLength(1);
    const entries = await hangup.store.listCallEvents({ callId: id, after: 0, limit: 100 });
    expect(entries.map(({ toStatus }) => toStatus)).toEqual(['initiated', 'connecting', 'failed']);
  });

  test('when the event is signed with another configured key', async () => {
    const { room } = await insertCallWithRoom();
    const body = room.started();
    const headers = { authorization: await sign(body, SECOND_KEY) };
    expect(await postWebhook(hangup.url, body, headers)).toEqual(answerTo('applied'));
  });

  test.each([
    ['an unknown event', { event: 'room_painted', id: 'EV_1', room: { sid: 'RM_1', name: 'x' } }],
    ['an egress', { event: 'egress_started', id: 'EV_2', egressInfo: { egressId: 'EG_1', roomName: 'x' } }],
    ['an ingress', { event: 'ingress_ended', id: 'EV_3', ingressInfo: { ingressId: 'IN_1' } }],
    [
      'a room name that is too long',
      { event: 'room_started', id: 'EV_4', room: { sid: 'RM_1', name: 'x'.repeat(10_000) } },
    ],
    ['a room without a name', { event: 'room_started', id: 'EV_5', room: { sid: 'RM_1' } }],
  ])('and changes nothing for %s', async (_, event) => {
    const before = await hangup.store.getWebhookActivity();
    expect(await postWebhook(hangup.url, JSON.stringify(event))).toEqual(answerTo('ignored'));
    expect(await hangup.store.getWebhookActivity()).toEqual(before);
  });

  test('and ignores an event of an unknown room', async () => {
    expect(await postWebhook(hangup.url, roomWebhooks('nobody').started())).toEqual(answerTo('unknown_room'));
  });

  test('and clamps event times in 1970 and 2100 between the stored times and now', async () => {
    const { id, room } = await insertCallWithRoom();
    const early = JSON.parse(room.started());
    early.createdAt = '1';
    early.room.creationTime = '1';
    early.room.creationTimeMs = '1000';
    const late = JSON.parse(room.finished());
    late.createdAt = '4102444800';
    const before = Date.now();
    await postWebhook(hangup.url, JSON.stringify(early));
    await postWebhook(hangup.url, JSON.stringify(late));
    const call = (await hangup.store.findCall(id))?.call;
    expect(call?.startedAt).toBe(call?.createdAt);
    expect(call?.endedAt).toBeGreaterThanOrEqual(before);
    expect(call?.endedAt).toBeLessThanOrEqual(Date.now());
  });

  test('when known fields have unknown values', async () => {
    const { id, room } = await insertCallWithRoom();
    const joined = JSON.parse(room.joined({ sid: 'PA_1', identity: 'x' }));
    joined.participant.kind = 'HOLOGRAM';
    joined.participant.state = 'THINKING';
    joined.somethingNew = { a: 1 };
    expect(await postWebhook(hangup.url, JSON.stringify(joined))).toEqual(answerTo('applied'));
    const left = JSON.parse(room.left(outboundPhone('dialing')));
    left.participant.disconnectReason = 'ABDUCTED';
    expect(await postWebhook(hangup.url, JSON.stringify(left))).toEqual(answerTo('applied'));
    await expect
      .poll(async () => {
        return (await hangup.store.findCall(id))?.call.status === 'failed';
      })
      .toBe(true);
  });

  test('and keeps the roster bounded when a room has a thousand participants', async () => {
    const { id, room } = await insertCallWithRoom();
    for (let i = 0; i < 1_000; i += 1) {
      const person = { sid: `PA_${i}`, identity: `person ${i}` };
      await postWebhook(hangup.url, room.joined(person));
      if (i % 2 === 0) await postWebhook(hangup.url, room.left(person, 'CLIENT_INITIATED'));
    }
    const roster = (await hangup.store.findCall(id))?.call.roster;
    expect(roster?.members.length).toBeLessThanOrEqual(MAX_MEMBERS);
    await postWebhook(hangup.url, room.joined(AGENT));
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
  });

  test('and neither stores nor logs turnPassword or token', async () => {
    const { room } = await insertCallWithRoom();
    await postWebhook(hangup.url, room.started());
    const dump = JSON.stringify([...(await hangup.readTables())]);
    for (const text of [dump, JSON.stringify(hangup.log)]) expect(text).not.toMatch(/never-store-this|eyJ/);
  });
});

describe('POST /webhooks/livekit returns 400 when the signed body is not an event', () => {
  test.each([
    ['truncated JSON', '{"event":"room_started","room":{"sid"'],
    ['not JSON', 'hello'],
    ['empty', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['a number where a room should be', '{"event":"room_started","id":"EV_1","room":5}'],
    ['no id', '{"event":"room_started","room":{"sid":"RM_1","name":"x"}}'],
    [
      'an id of 10 kB',
      `{"event":"room_started","id":"${'x'.repeat(10_240)}","room":{"sid":"RM_1","name":"x"}}`,
    ],
    ['no room', '{"event":"room_started","id":"EV_1"}'],
    ['no participant', '{"event":"participant_left","id":"EV_1","room":{"sid":"RM_1","name":"x"}}'],
    ['bytes that are not UTF-8', Buffer.from('7b226576656e74223a22ff227d', 'hex')],
  ])('%s', async (_, body) => {
    expect(await postWebhook(hangup.url, body)).toEqual({
      status: 400,
      body: { error: { message: expect.stringMatching(/^Malformed webhook: /), code: 400 } },
    });
  });
});

describe('POST /webhooks/livekit returns 401', () => {
  const refused = { status: 401, body: { error: { message: 'Unauthorized', code: 401 } } };
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  /** Returns a token with these claims. Without a secret, `alg` is `none`. */
  const tokenOf = (claims: unknown, secret?: string) => {
    const head = `${encode({ alg: secret === undefined ? 'none' : 'HS256', typ: 'JWT' })}.${encode(claims)}`;
    const signature =
      secret === undefined ? '' : createHmac('sha256', secret).update(head).digest('base64url');
    return `${head}.${signature}`;
  };
  const claimsOf = (body: string, parts: object = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const sha256 = createHash('sha256').update(body).digest('base64');
    return { iss: API_KEY, nbf: now, exp: now + 300, sha256, ...parts };
  };
  const badSignature = (
    livekitApiKey: string | null,
    isLivekitApiKeyConfigured = livekitApiKey === API_KEY,
  ) => ({
    reason: 'bad_signature',
    livekitApiKey,
    isLivekitApiKeyConfigured,
  });
  const WRONG = 'x'.repeat(36);
  const HOUR_S = 3_600;

  /** Posts a webhook, expects a 401, and returns the refusal's fields in the request log. */
  async function refusalOf(target: Hangup, body: string, headers: Record<string, string>) {
    const response = await fetch(`${target.url}/webhooks/livekit`, { method: 'POST', headers, body });
    expect({ status: response.status, body: await response.json() }).toEqual(refused);
    const requestId = response.headers.get('x-request-id');
    let fields: Readonly<Record<string, unknown>> | undefined;
    await expect
      .poll(() => {
        fields = target.log.find(
          (line) => line.message === 'request' && line.fields['requestId'] === requestId,
        )?.fields;
        return fields !== undefined;
      })
      .toBe(true);
    const { event, outcome, remoteAddress, ...rest } = fields ?? {};
    expect(remoteAddress).toBe('127.0.0.1');
    expect({ event, outcome }).toEqual({ event: null, outcome: 'unauthorized' });
    const ofRequests = ['requestId', 'method', 'path', 'status', 'durationMs'];
    return Object.fromEntries(Object.entries(rest).filter(([name]) => !ofRequests.includes(name)));
  }

  test.each<[string, (body: string) => Promise<Record<string, string>>, object]>([
    ['no signature', async () => ({}), { reason: 'missing_token' }],
    ['an empty signature', async () => ({ authorization: '' }), { reason: 'missing_token' }],
    ['a text that is not a token', async () => ({ authorization: 'hello' }), { reason: 'missing_token' }],
    [
      'the credentials of a proxy',
      async () => ({ authorization: `Basic ${btoa('a:b')}` }),
      { reason: 'missing_token' },
    ],
    [
      'a signature after Bearer',
      async (body) => ({ authorization: `Bearer ${await sign(body)}` }),
      { reason: 'missing_token' },
    ],
    [
      'a signature in another header',
      async (body) => ({ authorize: await sign(body) }),
      { reason: 'missing_token' },
    ],
    ['alg: none', async (body) => ({ authorization: tokenOf(claimsOf(body)) }), badSignature(API_KEY)],
    [
      'another secret',
      async (body) => ({ authorization: await sign(body, { apiSecret: WRONG }) }),
      badSignature(API_KEY),
    ],
    [
      'another issuer',
      async (body) => ({ authorization: await sign(body, { apiKey: 'other' }) }),
      badSignature('other'),
    ],
    [
      'the key of one and the secret of another',
      async (body) => ({
        authorization: await sign(body, { apiKey: API_KEY, apiSecret: SECOND_KEY.apiSecret }),
      }),
      badSignature(API_KEY),
    ],
    [
      'the token of another body',
      async () => ({ authorization: await sign('{}') }),
      { reason: 'body_changed' },
    ],
    [
      'a token that signs no body',
      async () => ({ authorization: await new AccessToken(API_KEY, API_SECRET, { ttl: 300 }).toJwt() }),
      { reason: 'body_changed' },
    ],
    [
      'an expired token',
      async (body) => ({ authorization: await sign(body, { ttl: -60 }) }),
      // Time passes between signing and the 401.
      { reason: 'clock_skew', skewSeconds: expect.toSatisfy((skew) => skew <= -60 && skew > -360) },
    ],
    [
      'an expired token of another body',
      async () => ({ authorization: await sign('{}', { ttl: -60 }) }),
      { reason: 'clock_skew', skewSeconds: expect.any(Number) },
    ],
    [
      'a token of one hour ahead',
      async (body) => {
        const { exp, nbf } = claimsOf(body);
        return {
          authorization: tokenOf(claimsOf(body, { nbf: nbf + HOUR_S, exp: exp + HOUR_S }), API_SECRET),
        };
      },
      {
        reason: 'clock_skew',
        skewSeconds: expect.toSatisfy((skew) => skew <= HOUR_S && skew > HOUR_S - 300),
      },
    ],
    [
      'a signed token without exp',
      async (body) => ({ authorization: tokenOf(claimsOf(body, { exp: undefined }), API_SECRET) }),
      badSignature(API_KEY),
    ],
  ])('to a webhook with %s', async (_, headersFor, refusal) => {
    const { room, status } = await insertCallWithRoom();
    const body = room.started();
    expect(await refusalOf(hangup, body, await headersFor(body))).toEqual(refusal);
    expect(await status()).toBe('initiated');
  });

  test.each<[string, object]>([
    ['an expired token', { exp: 1, nbf: 0 }],
    ['a token of tomorrow', { nbf: 4_102_444_800, exp: 4_102_444_900 }],
    ['the token of another body', { sha256: 'AAAA' }],
    ['a token that signs no body', { sha256: undefined }],
  ])('with the reason bad_signature when the secret is wrong and the token has %s', async (_, parts) => {
    const body = roomWebhooks('forged').started();
    const authorization = tokenOf(claimsOf(body, parts), WRONG);
    expect(await refusalOf(hangup, body, { authorization })).toEqual(badSignature(API_KEY));
  });

  test.each<[string, unknown]>([
    ['the secret', API_SECRET],
    ['a part of the secret', `key:${API_SECRET}`],
    ['10 kB', 'k'.repeat(10_240)],
    ['control characters', 'a\u001b[2J'],
    ['a number', 5],
    ['a list', ['devkey']],
    ['nothing', undefined],
  ])('and does not log the key name of an untrusted token: %s', async (_, iss) => {
    const body = roomWebhooks('odd').started();
    const authorization = tokenOf(claimsOf(body, { iss }), WRONG);
    expect(await refusalOf(hangup, body, { authorization })).toEqual(badSignature(null));
  });

  test.each([
    ['not JSON', 'hello'],
    ['a list', '[]'],
    ['null', 'null'],
    ['deep', '['.repeat(8_000)],
  ])('when the untrusted token is %s', async (_, claims) => {
    const authorization = `${encode({ alg: 'HS256' })}.${Buffer.from(claims).toString('base64url')}.AAAA`;
    expect(await refusalOf(hangup, '{}', { authorization })).toEqual(badSignature(null));
  });

  test('when one character of the body was changed', async () => {
    const { room, status } = await insertCallWithRoom();
    const body = room.started();
    const headers = { authorization: await sign(body) };
    expect(await refusalOf(hangup, body.replace('300', '301'), headers)).toEqual({ reason: 'body_changed' });
    expect(await status()).toBe('initiated');
  });

  test('to a replay after 5 minutes, and 200 without effect before', async () => {
    const { room } = await insertCallWithRoom();
    const body = room.started();
    const headers = { authorization: await sign(body) };
    expect(await postWebhook(hangup.url, body, headers)).toEqual(answerTo('applied'));
    expect(await postWebhook(hangup.url, body, headers)).toEqual(answerTo('duplicate'));
    const old = { authorization: await sign(body, { ttl: -60 }) };
    expect(await postWebhook(hangup.url, body, old)).toEqual(refused);
  });

  test('with the same body for every reason', async () => {
    const body = roomWebhooks('silent').started();
    const answers = [];
    for (const authorization of [
      undefined,
      await sign(body, { apiSecret: WRONG }),
      await sign(body, { apiKey: 'other' }),
      await sign(body, { ttl: -60 }),
      await sign('{}'),
    ]) {
      const response = await fetch(`${hangup.url}/webhooks/livekit`, {
        method: 'POST',
        headers: { ...(authorization !== undefined && { authorization }) },
        body,
      });
      // `ratelimit` counts the refusals, whatever their reasons.
      const varying = ['date', 'x-request-id', 'ratelimit'];
      const headers = [...response.headers].filter(([name]) => !varying.includes(name));
      answers.push({ status: response.status, headers, body: await response.text() });
    }
    expect(answers[0]).toMatchObject({ status: 401, body: JSON.stringify(refused.body) });
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  });

  test('and logs one warning a minute for each reason, with a count and advice', async () => {
    const signedAt = Date.now();
    let now = signedAt;
    const target = await startHangup({ livekit: hangup.livekit, clock: { now: () => now } });
    try {
      const warnings = () =>
        target.log.flatMap(({ level, message, fields }) =>
          message === 'webhook refused' ? [{ level, ...fields }] : [],
        );
      const body = roomWebhooks('flood').started();
      const nbf = Math.floor(signedAt / 1000);
      const claims = claimsOf(body, { nbf, exp: nbf + 300 });
      const forged = { authorization: tokenOf(claims, WRONG) };
      for (let i = 0; i < 20; i += 1) await postWebhook(target.url, body, forged);
      await postWebhook(target.url, body, {});
      expect(warnings()).toEqual([
        {
          level: 'warn',
          ...badSignature(API_KEY),
          refusals: 1,
          advice: expect.stringContaining('LIVEKIT_WEBHOOK_KEYS'),
        },
        {
          level: 'warn',
          reason: 'missing_token',
          refusals: 1,
          advice: expect.stringContaining('Authorization'),
        },
      ]);
      now = signedAt + HOUR_S * 1000;
      await postWebhook(target.url, body, forged);
      expect(warnings().slice(2)).toMatchObject([{ reason: 'bad_signature', refusals: 20 }]);
      const honest = { authorization: tokenOf(claims, API_SECRET) };
      expect(await refusalOf(target, body, honest)).toEqual({ reason: 'clock_skew', skewSeconds: -HOUR_S });
      now = signedAt - HOUR_S * 1000;
      expect(await refusalOf(target, body, honest)).toEqual({ reason: 'clock_skew', skewSeconds: HOUR_S });
      now = signedAt;
      expect(await postWebhook(target.url, body, honest)).toMatchObject({ status: 200 });
      expect(JSON.stringify(target.log)).not.toMatch(new RegExp(`${API_SECRET}|${WRONG}|eyJ`));
    } finally {
      await target.stop();
    }
  });
});

test('POST /webhooks/livekit returns 405 to other methods', async () => {
  const answer = await hangup.send('GET', '/webhooks/livekit');
  expect(answer.status).toBe(405);
  expect(answer.headers.get('allow')).toBe('POST');
});

test('POST /webhooks/livekit returns 413 to 10 MB before the body is read', async () => {
  const body = 'x'.repeat(10 * 1024 * 1024);
  expect(await postWebhook(hangup.url, body, { authorization: 'x' })).toMatchObject({ status: 413 });
});

test('POST /webhooks/livekit returns 415 to a gzipped body', async () => {
  const body = gzipSync(roomWebhooks('zipped').started());
  const headers = { authorization: await sign(body), 'content-encoding': 'gzip' };
  expect(await postWebhook(hangup.url, body, headers)).toMatchObject({ status: 415 });
});

test('POST /webhooks/livekit returns 503 when the store fails, and applies the repeated event', async () => {
  const { room, status } = await insertCallWithRoom();
  await hangup.sql('ALTER TABLE audit_log RENAME TO hidden');
  const body = room.started();
  expect(await postWebhook(hangup.url, body)).toEqual({
    status: 503,
    retryAfter: '1',
    body: { error: { message: 'Try again', code: 503 } },
  });
  await hangup.sql('ALTER TABLE hidden RENAME TO audit_log');
  expect(await status()).toBe('initiated');
  expect(await postWebhook(hangup.url, body)).toEqual(answerTo('applied'));
  expect(await status()).toBe('connecting');
});

describe('adoption by webhook', () => {
  const give = (prefix: string, organizationName: string) =>
    hangup.store.addAdoptionPrefix({
      prefix,
      organizationName,
      organizationIdIfNew: `org_${organizationName}`,
      now: Date.now(),
    });
  const callsIn = async (organizationName: string) => {
    const key = await hangup.createKey(organizationName);
    const { body } = await hangup.send('GET', '/api/v1/calls', { key });
    return (body as { data: { calls: { id: string; direction: string; phoneNumber: string }[] } }).data.calls;
  };

  test('makes an inbound phone call a call of the organization, with its number', async () => {
    await give('call-', 'inbound org');
    const room = roomWebhooks('call-_+15557770001_RwD9s3s5uiTY');
    expect(await postWebhook(hangup.url, room.started())).toEqual(answerTo('applied'));
    expect(await postWebhook(hangup.url, room.joined(inboundPhone('ringing')))).toEqual(answerTo('applied'));
    const [call] = await callsIn('inbound org');
    expect(call).toMatchObject({ status: 'ringing', direction: 'inbound', phoneNumber: '+15557770001' });
    const key = await hangup.createKey('inbound org');
    expect(await hangup.send('DELETE', `/api/v1/calls/${call?.id}`, { key })).toMatchObject({ status: 200 });
    // The call's participant returns: hangup deletes the room and creates no second call.
    expect(await postWebhook(hangup.url, room.joined(HUMAN))).toEqual(answerTo('applied'));
    expect(await callsIn('inbound org')).toHaveLength(1);
  });

  test('makes an unregistered placed phone call outbound', async () => {
    await give('dial-', 'outbound org');
    const room = roomWebhooks('dial-1');
    await postWebhook(hangup.url, room.started());
    await postWebhook(hangup.url, room.joined(outboundPhone('dialing')));
    expect(await callsIn('outbound org')).toMatchObject([
      { direction: 'outbound', phoneNumber: '+15551234567' },
    ]);
  });

  test('uses the longest of two prefixes, and refuses the same prefix twice', async () => {
    expect(await give('a-', 'short org')).toBe('added');
    expect(await give('a-b-', 'long org')).toBe('added');
    expect(await give('a-', 'long org')).toBe('taken');
    await postWebhook(hangup.url, roomWebhooks('a-b-c').started());
    await postWebhook(hangup.url, roomWebhooks('a-c').started());
    expect(await callsIn('long org')).toHaveLength(1);
    expect(await callsIn('short org')).toHaveLength(1);
    expect(await hangup.store.removeAdoptionPrefix({ prefix: 'a-b-', now: Date.now() })).toBe(true);
    expect(await hangup.store.removeAdoptionPrefix({ prefix: 'a-b-', now: Date.now() })).toBe(false);
    await postWebhook(hangup.url, roomWebhooks('a-b-d').started());
    expect(await callsIn('short org')).toHaveLength(2);
  });

  test('treats a wildcard in a prefix as a plain character', async () => {
    await give('%_', 'percent org');
    expect(await postWebhook(hangup.url, roomWebhooks('anything').started())).toEqual(
      answerTo('unknown_room'),
    );
    expect(await postWebhook(hangup.url, roomWebhooks('%_x').started())).toEqual(answerTo('applied'));
  });

  test('creates no call for room_finished of an unknown room', async () => {
    expect(await postWebhook(hangup.url, roomWebhooks('call-ended').finished())).toEqual(
      answerTo('unknown_room'),
    );
  });

  test.each([
    ['an agent id', '{"agentId":"receptionist","organizationId":"org_other"}', 'receptionist'],
    ['not JSON', 'hello', null],
    ['a number', '{"agentId":5}', null],
    ['control characters', '{"agentId":"a\\u0000"}', null],
    ['too long', JSON.stringify({ agentId: 'x'.repeat(257) }), null],
    ['an inherited name', '{"__proto__":{"agentId":"evil"}}', null],
    ['null', 'null', null],
  ])('accepts untrusted metadata: %s', async (name, metadata, agentId) => {
    await give('meta-', 'meta org');
    const roomName = `meta-${name}`;
    expect(await postWebhook(hangup.url, roomWebhooks(roomName, { metadata }).started())).toEqual(
      answerTo('applied'),
    );
    const { body } = await hangup.send('GET', '/api/v1/calls?limit=1', {
      key: await hangup.createKey('meta org'),
    });
    expect(body).toMatchObject({ data: { calls: [{ agent: { id: agentId } }] } });
  });
});

describe('GET /calls/{callId}/events', () => {
  test('returns actor, time, statuses and reason of each event, newest last, in pages', async () => {
    const { id, room } = await insertCallWithRoom();
    for (const body of [room.started(), room.joined(inboundPhone('ringing')), room.joined(AGENT)]) {
      await postWebhook(hangup.url, body);
    }
    await hangup.send('DELETE', `/api/v1/calls/${id}?reason=enough`);
    const get = (query = '') => hangup.send('GET', `/api/v1/calls/${id}/events${query}`);
    const { status, body } = await get();
    expect(status).toBe(200);
    expect(body).toMatchObject({
      data: {
        events: [
          { action: 'call.created', actor: 'operator', from: null, to: 'initiated' },
          {
            action: 'call.status_changed',
            actor: 'livekit',
            actorId: expect.stringMatching(/^EV_/),
            from: 'initiated',
            to: 'connecting',
            reason: 'room_started',
            at: expect.stringMatching(/Z$/),
          },
          { from: 'connecting', to: 'ringing', reason: 'participant_joined' },
          {
            actor: 'api_key',
            actorId: expect.stringMatching(/^key_/),
            from: 'ringing',
            to: 'cancelled',
            reason: 'enough',
          },
        ],
        pagination: { limit: 50, hasMore: false, nextCursor: null },
      },
    });
    interface Page {
      data: { events: { to: string }[]; pagination: { nextCursor: string | null } };
    }
    const first = (await get('?limit=3')).body as Page;
    const second = (await get(`?limit=3&cursor=${first.data.pagination.nextCursor}`)).body as Page;
    expect([...first.data.events, ...second.data.events].map(({ to }) => to)).toEqual([
      'initiated',
      'connecting',
      'ringing',
      'cancelled',
    ]);
    expect(second.data.pagination.nextCursor).toBeNull();
  });

  test('returns 404, 403 and 400 as GET /calls/{callId} does', async () => {
    const { id } = await insertCallWithRoom();
    const get = (path: string, key = hangup.key) => hangup.send('GET', `/api/v1/calls/${path}`, { key });
    expect(await get('none/events')).toMatchObject({
      status: 404,
      body: { error: { message: 'Call not found' } },
    });
    expect(await get(`${id}/events`, await hangup.createKey('other'))).toMatchObject({ status: 403 });
    for (const query of ['limit=0', 'limit=101', 'cursor=x', 'cursor=-1', 'cursor=1&cursor=2']) {
      expect(await get(`${id}/events?${query}`)).toMatchObject({ status: 400 });
    }
  });
});

test('the log warns once with advice when calls are live and hangup has never received a webhook', async () => {
  const { warnIfNoWebhooks: watchWebhooks } = await import(
    '../../src/operations/livekit/warn-if-no-webhooks.ts'
  );
  const quiet = await startHangup({ livekit: hangup.livekit });
  try {
    const lines: string[] = [];
    const log = {
      info: () => {},
      error: () => {},
      warn: (_: object, message: string) => lines.push(message),
    };
    expect(await watchWebhooks({ store: quiet.store, log })).toEqual({ warned: false });
    await quiet.insertCall({ id: 'quiet' });
    expect(await watchWebhooks({ store: quiet.store, log })).toEqual({ warned: true });
    expect(lines).toEqual([expect.stringMatching(/no LiveKit webhook was ever received/)]);
    await postWebhook(quiet.url, roomWebhooks('quiet').started());
    expect(await watchWebhooks({ store: quiet.store, log })).toEqual({ warned: false });
  } finally {
    await quiet.stop();
  }
});
