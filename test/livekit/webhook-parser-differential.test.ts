import { createHash, createHmac } from 'node:crypto';
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { type EnumType, type FieldInfo, type MessageType, proto3, ScalarType } from '@bufbuild/protobuf';
import { DisconnectReason, ParticipantInfo_Kind } from '@livekit/protocol';
import fc from 'fast-check';
import { TokenVerifier, TrackType, WebhookEvent } from 'livekit-server-sdk';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { checkClaims } from '../../src/domain/webhook-refusal.ts';
import { isUsualJson } from '../../src/livekit/usual-json.ts';
import { createWebhookParser, toParsedWebhook } from '../../src/livekit/webhook-parser.ts';
import type { ParsedWebhook } from '../../src/ports/livekit.ts';
import { API_KEY, API_SECRET } from '../harness/livekit.ts';
import { FIXTURES, loadFixture } from './webhook-recordings.ts';

/*
 * The parser reads usual tokens and usual JSON without the SDK. For any token and any JSON, its result is the result of the
 * SDK, which is the reference here.
 */

const SECOND = { apiKey: 'second', apiSecret: 'a-second-secret-of-32-characters-' };
const KEYS = [{ apiKey: API_KEY, apiSecret: API_SECRET }, SECOND];
const now = Date.now();
const nowS = Math.floor(now / 1000);
const parse = createWebhookParser(KEYS, { now: () => now });

const encode = (text: string) => Buffer.from(text).toString('base64url');
const sha256 = (body: string | Buffer) => createHash('sha256').update(body).digest('base64');

function signParts(header: string, payload: string, secret: string): string {
  const signature = createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url');
  return `${header}.${payload}.${signature}`;
}

/** Parses a body with a valid signature. */
async function parseSigned(body: string | Buffer): Promise<ParsedWebhook> {
  const claims = JSON.stringify({ iss: API_KEY, nbf: nowS, exp: nowS + 300, sha256: sha256(body) });
  return parse(Buffer.from(body), signParts(encode('{"alg":"HS256"}'), encode(claims), API_SECRET));
}

const captured = globSync(`${FIXTURES}/*.jsonl`).flatMap((file) => loadFixture(basename(file, '.jsonl')));
const capturedJson: readonly object[] = captured.map(({ body }) => JSON.parse(body));

/* Tokens. */

/** Returns the reason for which a verifier that uses only the SDK refuses a token; `accepted` for a valid token. */
async function referenceVerdict(body: string, token: string): Promise<string> {
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) return 'missing_token';
  for (const { apiKey, apiSecret } of KEYS) {
    try {
      const verifier = new TokenVerifier(apiKey, apiSecret);
      const { nbf, exp, ...claims } = await verifier.verify(token, Number.POSITIVE_INFINITY);
      if (exp === undefined) continue;
      const claimed = { nbf, exp, sha256: claims.sha256 };
      return checkClaims(claimed, { now, bodySha256: sha256(body) })?.reason ?? 'accepted';
    } catch {
      // The next key may have signed the token.
    }
  }
  return 'bad_signature';
}

async function verdict(body: string, token: string): Promise<string> {
  const result = await parse(Buffer.from(body), token);
  return result.kind === 'refused' ? result.refusal.reason : 'accepted';
}

const BODY = captured[0]?.body ?? '';
const rarely = <T, U>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<U>) =>
  fc.oneof({ weight: 8, arbitrary: usual }, { weight: 1, arbitrary: other });

/** JSON texts, because `1e999`, a second key of the same name and a byte order mark have no value in JavaScript. */
const HEADER_TEXT = rarely(
  fc.constantFrom('{"alg":"HS256"}', '{"alg":"HS256","typ":"JWT"}'),
  fc.constantFrom(
    ...['{"typ":"JWT","alg":"HS256"}', '{"alg": "HS256"}', '{"alg":"HS256","kid":"1"}', '{"alg":"none"}'],
    ...['{"alg":"HS512"}', '{"alg":"HS256","b64":false,"crit":["b64"]}', '{"alg":"HS256","crit":[]}'],
    ...['{"alg":"none","alg":"HS256"}', '\ufeff{"alg":"HS256"}', '[]', 'null', '', '{"alg":"HS256"'],
  ),
);
const TIME_TEXT = rarely(
  fc.integer({ min: -400, max: 400 }).map((seconds) => String(nowS + seconds)),
  fc.constantFrom(...['1e999', '-1e999', 'null', '"1"', '0', '-1', '1.5', `${nowS}.9`, 'true', '[]', '{}']),
);
const claimText = (name: string, value: fc.Arbitrary<string>) =>
  fc.oneof(
    { weight: 8, arbitrary: value.map((text) => `"${name}":${text}`) },
    { weight: 1, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.tuple(value, value).map(([a, b]) => `"${name}":${a},"${name}":${b}`) },
  );
const CLAIMS_TEXT = fc
  .tuple(
    claimText('iss', rarely(fc.constantFrom(`"${API_KEY}"`, '"second"'), fc.constantFrom('""', '[]', '"x"'))),
    claimText('nbf', TIME_TEXT),
    claimText('exp', TIME_TEXT),
    fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, claimText('iat', TIME_TEXT)),
    claimText('sha256', rarely(fc.constant(JSON.stringify(sha256(BODY))), fc.constantFrom('""', '1', '[]'))),
    rarely(
      fc.constant(null),
      fc.constantFrom('"__proto__":{"exp":9e9}', '"metadata":"\ud83d\ude00"', '"a":'),
    ),
  )
  .map((claims) => `{${claims.filter((claim) => claim !== null).join(',')}}`);
const PAYLOAD = fc
  .tuple(
    CLAIMS_TEXT,
    rarely(
      fc.constant((text: string) => Buffer.from(text)),
      fc.constantFrom(
        (text: string) => Buffer.from(`\ufeff${text}`),
        (text: string) => Buffer.from(`[${text}]`),
        (text: string) => Buffer.from(text.replace('{', '{"\xff":1,'), 'latin1'),
        (text: string) => Buffer.from(text, 'utf16le'),
        () => Buffer.from('""'),
      ),
    ),
  )
  .map(([text, toBytes]) => toBytes(text).toString('base64url'));

/** Replaces, inserts or deletes one character of a token; the last character may differ in bits that are not decoded. */
const MUTATION = fc.oneof(
  { weight: 3, arbitrary: fc.constant((token: string) => token) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.oneof(fc.nat(), fc.constantFrom(-1, -2)),
        fc.nat(2),
        fc.oneof(fc.constantFrom('A', 'Q', 'g', 'w', '_', '-', '=', '.', '+', '/', ' '), fc.string()),
      )
      .map(([place, removed, text]) => (token: string) => {
        const index = place < 0 ? token.length + place : place % token.length;
        return token.slice(0, index) + text + token.slice(index + removed);
      }),
  },
);

test('a token is accepted or refused for the same reason as by the SDK', async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      HEADER_TEXT,
      PAYLOAD,
      rarely(
        fc.constantFrom(API_SECRET, SECOND.apiSecret),
        fc.constantFrom('wrong', API_SECRET.toUpperCase()),
      ),
      MUTATION,
      async (header, payload, secret, mutate) => {
        const token = mutate(signParts(encode(header), payload, secret));
        const expected = await referenceVerdict(BODY, token);
        seen.set(expected, (seen.get(expected) ?? 0) + 1);
        expect(await verdict(BODY, token)).toBe(expected);
      },
    ),
    { numRuns: 6_000 },
  );
  expect([...seen.keys()].sort()).toEqual([
    'accepted',
    'bad_signature',
    'body_changed',
    'clock_skew',
    'missing_token',
  ]);
});

test('every single-character change of a valid token is judged as by the SDK', async () => {
  const claims = JSON.stringify({ iss: API_KEY, nbf: nowS, exp: nowS + 300, sha256: sha256(BODY) });
  const token = signParts(encode('{"alg":"HS256","typ":"JWT"}'), encode(claims), API_SECRET);
  expect(await verdict(BODY, token)).toBe('accepted');
  for (let index = 0; index < token.length; index += 1) {
    for (const character of ['A', 'B', '-', '.', '=', '']) {
      const changed = token.slice(0, index) + character + token.slice(index + 1);
      expect(await verdict(BODY, changed), changed).toBe(await referenceVerdict(BODY, changed));
    }
  }
});

/* JSON. */

const MAX_NAME_LENGTH = 64;
const RawNames = z.object({
  participant: z.object({
    kind: z.string().max(MAX_NAME_LENGTH).optional(),
    disconnectReason: z.string().max(MAX_NAME_LENGTH).optional(),
  }),
});

/** Returns the result of a parser that uses only the SDK. */
function referenceParse(body: Buffer): ParsedWebhook {
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body));
    const names = RawNames.safeParse(json);
    const webhook = WebhookEvent.fromJson(json as never, { ignoreUnknownFields: true });
    return toParsedWebhook(webhook, names.success ? names.data.participant : {});
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'the body is not JSON' : 'the body is not a webhook event';
    return { kind: 'malformed', reason };
  }
}

test('each recorded webhook is read without the SDK, with the same result', async () => {
  expect(captured.length).toBeGreaterThan(100);
  for (const { body } of captured) {
    expect(isUsualJson(WebhookEvent, JSON.parse(body)), body).toBe(true);
    expect(await parseSigned(body)).toStrictEqual(referenceParse(Buffer.from(body)));
  }
});

const ODD_TEXTS = [
  ...['', '0', '007', '-1', '+1', '12.5', ' 1', '1e3', '0x10', '9223372036854775807', '9223372036854775808'],
  ...[
    '99999999999999999999999',
    'NaN',
    'Infinity',
    '\ud800',
    '\0',
    'AUDIO',
    'SIP',
    'HOLOGRAM',
    'x'.repeat(65),
  ],
];
const ODD_NUMBERS = [0, 1, 2, 99, 1.5, -1, 2 ** 31, 2 ** 32, 2 ** 53, 1e300];
const ODD_VALUE = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, [], {}, [null], [{}], ...ODD_TEXTS, ...ODD_NUMBERS),
  fc.jsonValue({ maxDepth: 1 }),
);
const ODD_KEYS = ['__proto__', 'constructor', 'toString', 'unknownField', '[livekit.extension]', ''];

interface Place {
  readonly parent: Record<string, unknown>;
  readonly key: string;
}

/** Returns every place of a value in a JSON value. */
function placesIn(value: unknown): readonly Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const parent = value as Record<string, unknown>;
  return Object.keys(parent).flatMap((key) => [{ parent, key }, ...placesIn(parent[key])]);
}

type Edit = (place: Place) => void;

/** Sets a property, also `__proto__`, to a copy of a value: the generated values are shared, and edits change them. */
function define(parent: object, key: string, value: unknown): void {
  Object.defineProperty(parent, key, {
    value: structuredClone(value),
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

const toSnakeCase = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const toNumber = (value: unknown) => (typeof value === 'string' ? Number(value) : value);

const EDIT: fc.Arbitrary<Edit> = fc.oneof(
  ODD_VALUE.map((value) => (place: Place) => define(place.parent, place.key, value)),
  fc.constant<Edit>(({ parent, key }) => delete parent[key]),
  fc.constant<Edit>(({ parent, key }) => define(parent, toSnakeCase(key), parent[key])),
  fc.constant<Edit>(({ parent, key }) => define(parent, key, [parent[key]])),
  fc.constant<Edit>(({ parent, key }) => define(parent, key, JSON.stringify(parent[key]))),
  fc.constant<Edit>(({ parent, key }) => define(parent, key, toNumber(parent[key]))),
  fc.tuple(fc.constantFrom(...ODD_KEYS), ODD_VALUE).map(
    ([name, value]) =>
      ({ parent }: Place) =>
        define(parent, name, value),
  ),
);

test('recorded webhooks with changed values and names have the same result as in the SDK', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...capturedJson),
      fc.array(fc.tuple(fc.nat(), EDIT), { minLength: 1, maxLength: 3 }),
      async (original, edits) => {
        const json: unknown = JSON.parse(JSON.stringify(original));
        for (const [index, edit] of edits) {
          const places = placesIn(json);
          const place = places[index % Math.max(places.length, 1)];
          if (place !== undefined) edit(place);
        }
        const body = Buffer.from(JSON.stringify(json));
        const expected = referenceParse(body);
        seen.add(
          `${expected.kind} ${isUsualJson(WebhookEvent, JSON.parse(body.toString())) ? 'usual' : 'odd'}`,
        );
        expect(await parseSigned(body)).toStrictEqual(expected);
      },
    ),
    { numRuns: 8_000 },
  );
  // The check never accepts an event that the SDK rejects, but the mapping may find the event without an id.
  expect(seen).toContain('event usual');
  expect(seen).toContain('event odd');
  expect(seen).toContain('malformed odd');
});

const scalarValue = (type: ScalarType): fc.Arbitrary<unknown> => {
  switch (type) {
    case ScalarType.STRING:
      return fc.oneof(fc.string(), fc.constantFrom('room_started', 'participant_left', 'track_published'));
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String);
    default:
      return fc.nat();
  }
};
const enumName = ({ values }: EnumType) => fc.constantFrom(...values.map(({ name }) => name));

function fieldValue(field: FieldInfo, depth: number): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'scalar':
      return scalarValue(field.T);
    case 'enum':
      return enumName(field.T);
    case 'message':
      return jsonOf(field.T, depth - 1);
    case 'map': {
      const { V: value } = field;
      const values = value.kind === 'scalar' ? scalarValue(value.T) : fc.constant({});
      return fc.dictionary(fc.string(), rarely(values, ODD_VALUE), { maxKeys: 2 });
    }
  }
}

/** Returns JSON of a message: a few of its fields, most of them valid. */
function jsonOf(type: MessageType, depth: number): fc.Arbitrary<object> {
  if (depth < 0) return fc.constant({});
  const entries = type.fields.list().map((field) => {
    const single = fieldValue(field, depth);
    const value = field.kind !== 'map' && field.repeated ? fc.array(single, { maxLength: 2 }) : single;
    const name = rarely(fc.constant(field.jsonName), fc.constant(field.name));
    return fc.tuple(name, rarely(value, ODD_VALUE));
  });
  return fc
    .subarray(entries, { maxLength: Math.min(6, entries.length) })
    .chain((chosen) => fc.tuple(...chosen))
    .map(Object.fromEntries);
}

test('any JSON of the fields of a webhook has the same result as in the SDK', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(jsonOf(WebhookEvent, 3), async (json) => {
      const body = Buffer.from(JSON.stringify({ event: 'participant_left', id: 'EV_1', ...json }));
      const expected = referenceParse(body);
      seen.add(
        `${expected.kind} ${isUsualJson(WebhookEvent, JSON.parse(body.toString())) ? 'usual' : 'odd'}`,
      );
      expect(await parseSigned(body)).toStrictEqual(expected);
    }),
    { numRuns: 3_000 },
  );
  expect(seen).toContain('ignored usual');
  expect(seen).toContain('malformed odd');
});

test.each([
  '',
  ' ',
  'null',
  '[]',
  '1',
  '"x"',
  '{}',
  '{"event":',
  '{"event":"room_started"}x',
  '\ufeff{}',
  '{"event":null}',
])('the body %j has the same result as in the SDK', async (body) => {
  expect(await parseSigned(body)).toStrictEqual(referenceParse(Buffer.from(body)));
});

test('a body that is not UTF-8 has the same result as in the SDK', async () => {
  const body = Buffer.from('{"event":"room_started\xff"}', 'latin1');
  expect(await parseSigned(body)).toStrictEqual(referenceParse(body));
});

test.each([
  ['DisconnectReason', DisconnectReason],
  ['ParticipantInfo_Kind', ParticipantInfo_Kind],
  ['TrackType', TrackType],
])("the names of %s are the names in LiveKit's JSON", (_name, type) => {
  for (const { name, localName, no } of proto3.getEnumType(type).values) {
    expect(localName).toBe(name);
    expect(Reflect.get(type, no)).toBe(name);
  }
});
