import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { WebhookReceiver } from 'livekit-server-sdk';
import { expect, test } from 'vitest';
import { createWebhookParser } from '../../src/livekit/webhook-parser.ts';
import { API_KEY, API_SECRET } from '../harness/livekit.ts';
import { roomWebhooks } from '../harness/webhooks.ts';

const SECOND = { apiKey: 'second', apiSecret: 'a-second-secret-of-32-characters-' };
const BODY = roomWebhooks('fuzzed').started();
const SHA256 = createHash('sha256').update(BODY).digest('base64');
const RUNS = { numRuns: 2_000 };

/** The time of the complete run. Every generated time is hours or exactly 0 s from it, far from the limits. */
const now = Date.now();
const read = createWebhookParser([{ apiKey: API_KEY, apiSecret: API_SECRET }, SECOND], { now: () => now });

const encode = (value: unknown) => Buffer.from(JSON.stringify(value) ?? '').toString('base64url');
function tokenOf(header: unknown, claims: unknown, secret: string): string {
  const head = `${encode(header)}.${encode(claims)}`;
  return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
}

const seconds = fc.constantFrom(-86_400, -7_200, 0, 3_600, 86_400).map((far) => Math.floor(now / 1000) + far);
const invalid = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constant(undefined));
const rarely = <T, U>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<U>) =>
  fc.oneof({ weight: 6, arbitrary: usual }, { weight: 1, arbitrary: other });
const CLAIMS = fc.record({
  iss: rarely(fc.constantFrom(API_KEY, SECOND.apiKey), invalid),
  nbf: rarely(seconds, invalid),
  exp: rarely(seconds, invalid),
  sha256: rarely(fc.constant(SHA256), invalid),
});
const HEADER = rarely(
  fc.constant<object>({ alg: 'HS256', typ: 'JWT' }),
  fc.constantFrom<object>({ alg: 'none' }, { alg: 'HS512' }, { alg: 'HS256', crit: ['x'], x: 1 }, {}),
);

test("the parser accepts exactly the webhooks that the SDK's receiver accepts, and refuses the others with a reason", async () => {
  const receivers = [
    new WebhookReceiver(API_KEY, API_SECRET),
    new WebhookReceiver(SECOND.apiKey, SECOND.apiSecret),
  ];
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      HEADER,
      CLAIMS,
      fc.constantFrom(API_SECRET, SECOND.apiSecret, 'wrong'),
      async (...parts) => {
        const token = tokenOf(...parts);
        const received = await Promise.allSettled(receivers.map((receiver) => receiver.receive(BODY, token)));
        const result = await read(Buffer.from(BODY), token);
        seen.add(result.kind === 'refused' ? result.refusal.reason : result.kind);
        expect(result.kind).toBe(received.some(({ status }) => status === 'fulfilled') ? 'event' : 'refused');
      },
    ),
    RUNS,
  );
  expect([...seen].sort()).toEqual(['bad_signature', 'body_changed', 'clock_skew', 'event']);
});

test('the reason is bad_signature for any claims when the secret is wrong', async () => {
  await fc.assert(
    fc.asyncProperty(HEADER, CLAIMS, fc.string({ minLength: 1 }), async (header, claims, secret) => {
      const result = await read(Buffer.from(BODY), tokenOf(header, claims, secret));
      expect(result).toMatchObject({ kind: 'refused', refusal: { reason: 'bad_signature' } });
    }),
    RUNS,
  );
});

test('the parser refuses arbitrary text in the authorization header', async () => {
  const part = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.base64String().map((text) => text.replaceAll(/[=+/]/g, '_')),
  );
  const text = fc.oneof(
    part,
    fc.tuple(part, part, part).map((parts) => parts.join('.')),
    fc.constant(`${'a'.repeat(16_000)}.${'b'.repeat(16_000)}.`),
  );
  await fc.assert(
    fc.asyncProperty(text, fc.uint8Array(), async (authorization, body) => {
      const result = await read(body, authorization);
      expect(['bad_signature', 'missing_token']).toContain(
        result.kind === 'refused' && result.refusal.reason,
      );
    }),
    RUNS,
  );
});

test.each(['HOLOGRAM', 99])('a participant of the unknown kind %s is ignored', async (kind) => {
  const body = roomWebhooks('r').joined({ sid: 'PA_1', identity: 'future' });
  const future = JSON.parse(body);
  future.participant.kind = kind;
  const text = JSON.stringify(future);
  expect(await readSigned(text)).toMatchObject({
    kind: 'event',
    event: { payload: { kind: 'participant_joined', participant: { role: 'other' } } },
  });
  expect(await readSigned(body)).toMatchObject({ event: { payload: { participant: { role: 'person' } } } });
});

test('an unknown disconnect reason is kept as LiveKit sent it', async () => {
  const left = JSON.parse(roomWebhooks('r').left({ sid: 'PA_1', identity: 'one' }, 'CLIENT_INITIATED'));
  left.participant.disconnectReason = 'BEAMED_UP';
  expect(await readSigned(JSON.stringify(left))).toMatchObject({
    event: { payload: { kind: 'participant_left', reason: 'BEAMED_UP' } },
  });
});

test.each([
  ['agent', { kind: 'AGENT' }, { canPublish: true }],
  ['agent', {}, { canPublish: true, agent: true }],
  ['recorder', { kind: 'EGRESS' }, {}],
  ['recorder', {}, { hidden: true, recorder: true }],
  ['phone', { kind: 'SIP' }, { canPublish: true }],
  ['phone', { kind: 'CONNECTOR' }, { canPublish: true }],
  ['person', {}, { canPublish: true }],
  ['other', {}, { hidden: true, canPublish: true }],
  ['other', {}, { canSubscribe: true }],
  ['other', { kind: 'INGRESS' }, { canPublish: true }],
  ['other', { kind: 'BRIDGE' }, { canPublish: true }],
])('a participant is %s by %j with the permission %j', async (role, parts, permission) => {
  const joined = JSON.parse(roomWebhooks('r').joined({ sid: 'PA_1', identity: 'one' }));
  Object.assign(joined.participant, parts, { permission });
  expect(await readSigned(JSON.stringify(joined))).toMatchObject({
    event: { payload: { participant: { role } } },
  });
});

async function readSigned(body: string) {
  const times = { nbf: Math.floor(now / 1000), exp: Math.floor(now / 1000) + 300 };
  const claims = { iss: API_KEY, sha256: createHash('sha256').update(body).digest('base64'), ...times };
  return read(Buffer.from(body), tokenOf({ alg: 'HS256', typ: 'JWT' }, claims, API_SECRET));
}
