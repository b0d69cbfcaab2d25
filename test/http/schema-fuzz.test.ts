import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, type Hangup, startHangup } from '../harness/hangup.ts';

/*
 * Generates valid and invalid requests from the OpenAPI document, and compares a JSON Schema validator's result with
 * hangup's response. The validator is ajv, because zod made the document.
 */

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly allOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
  readonly description?: string;
}
interface Operation {
  readonly parameters?: readonly { name: string; in: string; schema: Schema }[];
  readonly responses: Readonly<Record<string, { readonly content?: object }>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

let hangup: Hangup;
let document: Document;
let ajv: Ajv2020;
beforeAll(async () => {
  hangup = await startHangup();
  document = (await hangup.send('GET', '/openapi.json', { key: null })).body as Document;
  ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(document, 'document');
  await hangup.insertCall({ id: 'live', status: 'active' });
  await hangup.insertCall({ id: 'ended', status: 'completed', endedAt: 2_000 });
});
afterAll(() => hangup.stop());

function resolve(schema: Schema): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : resolve(document.components.schemas[name] ?? {});
}

const TIMES = [
  '1969-12-31T23:59:59Z',
  '1969-12-31',
  '1970-01-01T00:00:00Z',
  '1970-01-01T00:30:00+01:00',
  '1970-01-01',
  '9999-12-31T23:59:59.999Z',
  '9999-12-31T23:59:59-01:00',
  '9999-12-31',
  '2028-02-29',
  '2026-02-29T00:00:00Z',
  '2026-11-23T08:00:00z',
  '2026-11-23 08:00:00Z',
  '2026-11-23T08:00Z',
  '2026-11-23T08:00:60Z',
];
const CONTROLS = ['\u0000', '\n', '\u007f', '\u0085'];
const INVISIBLE = ['\u00ad', '\u200b', '\u202e', '\u2028', '\ufeff', '\u{e0041}'];
const STRINGS = ['', ' ', '.', '..', '...', '+1 555', 'a/b', 'é', '😀', ...TIMES, ...CONTROLS, ...INVISIBLE];

function atLimits({ maxLength = 128 }: Schema): string[] {
  return ['a', '.', 'é', '😀'].flatMap((character) => [
    character.repeat(maxLength),
    character.repeat(maxLength + 1),
  ]);
}

/** Returns values of which a schema accepts nearly all. */
function fitting(given: Schema): fc.Arbitrary<unknown> {
  const schema = resolve(given);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'integer':
      return fc.integer({ min: schema.minimum ?? 0, max: schema.maximum ?? 1_000 });
    case 'boolean':
      return fc.boolean();
    case 'array':
      return fc.array(fitting(schema.items ?? {}), { maxLength: schema.maxItems ?? 3 });
    case 'object': {
      const properties = Object.entries(schema.properties ?? {});
      if (schema.additionalProperties !== false) return fc.dictionary(fc.string(), JSON_VALUE);
      return fc.record(Object.fromEntries(properties.map(([name, part]) => [name, fitting(part)])), {
        requiredKeys: [],
      });
    }
    default: {
      const { maxLength = 128 } = schema;
      const pattern = schema.pattern ?? schema.allOf?.[0]?.pattern;
      const plain = fc.string({ unit: 'binary', maxLength });
      if (pattern === undefined) return plain;
      const matching = fc.stringMatching(new RegExp(pattern, 'u'), { maxLength });
      return fc.oneof({ weight: 9, arbitrary: matching }, { weight: 1, arbitrary: plain });
    }
  }
}

const JSON_VALUE = fc.jsonValue({ maxDepth: 2, noUnicodeString: false });

/** Returns values at the schema's limits, and values of other types. */
function hostile(given: Schema): fc.Arbitrary<unknown> {
  const schema = resolve(given);
  const { minimum = 0, maximum = 100 } = schema;
  return fc.oneof(
    fc.constantFrom<unknown>(...STRINGS, ...atLimits(schema)),
    fc.constantFrom<unknown>(
      null,
      true,
      0,
      1,
      -1,
      1.5,
      minimum - 1,
      maximum + 1,
      [],
      ['active'],
      {},
      { x: 1 },
    ),
  );
}

const anyOf = (schema: Schema): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 4, arbitrary: fitting(schema) }, { weight: 1, arbitrary: hostile(schema) });

/** Returns some valid inputs; half of the cases replace or add an input that may be invalid. */
function inputsOf(properties: Readonly<Record<string, Schema>>): fc.Arbitrary<object> {
  const named = Object.entries(properties);
  const fit = fc.record(Object.fromEntries(named.map(([name, schema]) => [name, fitting(schema)])), {
    requiredKeys: [],
  });
  const wrong = named.map(([name, schema]) => hostile(schema).map((value) => ({ [name]: value })));
  const unknown = fc.constantFrom({ page: 2 }, { Id: 'x' }, { '': null });
  const over = fc.oneof({ weight: wrong.length + 1, arbitrary: fc.constant({}) }, ...wrong, unknown);
  return fc.tuple(fit, over).map(([inputs, more]) => ({ ...inputs, ...more }));
}

/** Returns a validator for a part of the document. */
function validator(pointer: string): ValidateFunction {
  return ajv.compile({ $ref: `document#${pointer}` });
}
const escaped = (path: string) => path.replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D');

/** Expects a documented status, and a body that matches the schema of this status. */
function assertDocumented(path: string, method: string, { status, body }: Answer): void {
  const { responses } = document.paths[path]?.[method] ?? { responses: {} };
  expect(Object.keys(responses)).toContain(String(status));
  if (status === 200 && 'text/event-stream' in (responses[status]?.content ?? {})) return;
  const at = `/paths/${escaped(path)}/${method}/responses/${status}/content/application~1json/schema`;
  const validate = validator(at);
  expect(validate(body) ? null : validate.errors, JSON.stringify(body)).toBeNull();
}

function assertSame(input: unknown, isFitting: boolean, answer: Answer): void {
  const shown = `${JSON.stringify(input)} -> ${JSON.stringify(answer.body)}`;
  expect(answer.status === 400 ? 'refused' : 'accepted', shown).toBe(isFitting ? 'accepted' : 'refused');
  expect(answer.status, shown).toBeLessThan(500);
}

test('POST /calls accepts exactly the bodies that the OpenAPI schema accepts', async () => {
  const schema = resolve({ $ref: '#/components/schemas/CreateCall' });
  const validate = validator('/components/schemas/CreateCall');
  // JSON Schema cannot count bytes, so the description has the limit.
  expect(schema.properties?.roomName?.description).toMatch(/at most 256 bytes as UTF-8/);
  const isShort = ({ roomName }: { roomName?: unknown }) =>
    typeof roomName !== 'string' || Buffer.byteLength(roomName) <= 256;
  const seen = { accepted: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(inputsOf(schema.properties ?? {}), async (body) => {
      const answer = await hangup.send('POST', '/api/v1/calls', { body });
      const isFitting = validate(body) && isShort(body);
      seen[isFitting ? 'accepted' : 'refused'] += 1;
      assertSame(body, isFitting, answer);
      assertDocumented('/calls', 'post', answer);
    }),
    { numRuns: 500 },
  );
  expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(50);
});

const SELECTORS = ['filter', 'callIds', 'all'] as const;

/** Returns bodies of which most have exactly one selector. */
function cancellations(properties: Readonly<Record<string, Schema>>): fc.Arbitrary<Record<string, unknown>> {
  const { filter = {}, callIds = {}, reason = {} } = properties;
  const required = fc.record({
    filter: fitting(filter),
    callIds: fitting(callIds),
    all: fc.constant(true),
    reason: fitting(reason),
  });
  return fc
    .tuple(inputsOf(properties), required, fc.constantFrom(...SELECTORS, null))
    .map(([inputs, values, selector]) => {
      const body: Record<string, unknown> = { reason: values.reason, ...inputs };
      if (selector !== null) {
        for (const name of SELECTORS) delete body[name];
        body[selector] = values[selector];
      }
      // Calls of other tests stay live, and no hold refuses further calls.
      if (body['dryRun'] === undefined || body['dryRun'] === false) body['dryRun'] = true;
      return body;
    });
}

/** JSON Schema cannot compare two dates, so the description has this rule. */
function isInOrder(filter: unknown): boolean {
  const { startDate, endDate }: { startDate?: unknown; endDate?: unknown } = Object(filter);
  if (typeof startDate !== 'string' || typeof endDate !== 'string') return true;
  const end = endDate.includes('T') ? endDate : `${endDate}T23:59:59.999Z`;
  return !(Date.parse(startDate) > Date.parse(end));
}

test('POST /cancellations accepts exactly the bodies that the OpenAPI schema accepts', async () => {
  const { properties = {} } = resolve({ $ref: '#/components/schemas/CreateCancellation' });
  const validate = validator('/components/schemas/CreateCancellation');
  expect(properties.filter?.description).toMatch(/`endDate` is not before `startDate`/);
  const seen = { accepted: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(cancellations(properties), async (body) => {
      const answer = await hangup.send('POST', '/api/v1/cancellations', { body });
      const isFitting = validate(body) && isInOrder(body['filter']);
      seen[isFitting ? 'accepted' : 'refused'] += 1;
      assertSame(body, isFitting, answer);
      assertDocumented('/cancellations', 'post', answer);
    }),
    { numRuns: 500 },
  );
  expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(50);
});

test.each([
  { body: { reason: 'x' }, valid: false },
  { body: { reason: 'x', all: true }, valid: true },
  { body: { reason: 'x', all: false }, valid: false },
  { body: { reason: 'x', callIds: ['a'] }, valid: true },
  { body: { reason: 'x', callIds: ['a'], hold: false }, valid: true },
  { body: { reason: 'x', callIds: ['a'], hold: true }, valid: false },
  { body: { reason: 'x', callIds: ['a'], all: true }, valid: false },
  { body: { reason: 'x', filter: { agentId: 'a' }, hold: true }, valid: true },
  { body: { reason: 'x', filter: { agentId: 'a' }, all: true }, valid: false },
  { body: { reason: 'x', filter: { agentId: 'a' }, callIds: ['a'] }, valid: false },
  { body: { reason: 'x', filter: {} }, valid: false },
  { body: { reason: ' \u3000', all: true }, valid: false },
])('the schema of POST /cancellations and hangup agree about $body', async ({ body, valid }) => {
  expect(validator('/components/schemas/CreateCancellation')(body)).toBe(valid);
  const answer = await hangup.send('POST', '/api/v1/cancellations', { body: { ...body, dryRun: true } });
  expect(answer.status).toBe(valid ? 200 : 400);
});

/** Returns a query that repeats the name for each entry of a list, OpenAPI's default style. */
function toQuery(inputs: object): string {
  const pairs = Object.entries(inputs).flatMap(([name, value]: [string, unknown]) =>
    (Array.isArray(value) ? value : [value]).map((entry) => [name, String(entry)]),
  );
  // A space is %20, as OpenAPI encodes it. A bare + at the start of a phone number or a time is a plus sign.
  return new URLSearchParams(pairs).toString().replaceAll('+', '%20');
}

/** Returns the values of a query in the types of their schemas. */
function fromQuery(schemas: Readonly<Record<string, Schema>>, query: string): object {
  const parameters = new URLSearchParams(query);
  return Object.fromEntries(
    [...new Set(parameters.keys())].map((name) => {
      const { type } = resolve(schemas[name] ?? {});
      const values = parameters.getAll(name);
      if (type === 'array') return [name, values];
      const [value = ''] = values;
      if (values.length > 1) return [name, values];
      return [name, type === 'integer' && /^-?\d+$/.test(value) ? Number(value) : value];
    }),
  );
}

describe.each([
  { path: '/calls', at: '/calls', runs: 500 },
  { path: '/calls/{callId}/events', at: '/calls/live/events', runs: 200 },
  { path: '/calls/{callId}', at: '/calls/live', runs: 50 },
  { path: '/events', at: '/events', runs: 100 },
])('GET $path', ({ path, at, runs }) => {
  test('accepts exactly the queries that the OpenAPI schema accepts', async () => {
    const all = (document.paths[path]?.get?.parameters ?? []).filter(({ in: place }) => place === 'query');
    // A valid list cursor comes only from a response, so the description has this rule.
    const cursor = all.find(({ name }) => name === 'cursor')?.schema;
    if (path === '/calls') expect(cursor?.description).toMatch(/and no other value/);
    const schemas = Object.fromEntries(
      all
        .filter(({ name }) => path !== '/calls' || name !== 'cursor')
        .map(({ name, schema }) => [name, schema]),
    );
    const validate = ajv.compile({
      type: 'object',
      properties: Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => [
          name,
          schema.$ref === undefined
            ? { ...schema, items: { ...resolve(schema.items ?? {}) } }
            : resolve(schema),
        ]),
      ),
      additionalProperties: false,
    });
    const seen = { accepted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(inputsOf(schemas), async (inputs) => {
        const query = toQuery(inputs);
        const answer = await hangup.send('GET', `/api/v1${at}?${query}`);
        const read = fromQuery(schemas, query);
        const isFitting = validate(read);
        seen[isFitting ? 'accepted' : 'refused'] += 1;
        assertSame(read, isFitting, answer);
        assertDocumented(path, 'get', answer);
      }),
      { numRuns: runs },
    );
    expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(runs / 20);
  });
});

test('DELETE /calls/{callId} accepts exactly the reasons that the OpenAPI schema accepts', async () => {
  const reason = document.paths['/calls/{callId}']?.delete?.parameters?.find(({ name }) => name === 'reason');
  const schema = reason?.schema ?? {};
  const validate = ajv.compile({ ...schema });
  await fc.assert(
    fc.asyncProperty(
      anyOf(schema).filter((value) => typeof value === 'string'),
      async (value) => {
        const query = new URLSearchParams({ reason: String(value) });
        const answer = await hangup.send('DELETE', `/api/v1/calls/ended?${query}`);
        // hangup checks the input before the call's status.
        const message = validate(value) ? /^Cannot cancel call with status: completed$/ : /^reason: /;
        expect(answer, JSON.stringify(value)).toMatchObject({
          status: 400,
          body: { error: { message: expect.stringMatching(message) } },
        });
        assertDocumented('/calls/{callId}', 'delete', answer);
      },
    ),
    { numRuns: 200 },
  );
});

/** Returns a key that a header can contain: Latin-1 without control characters, and no spaces at the ends. */
const header = (unit: fc.Arbitrary<string>, maxLength: number) =>
  fc.string({ unit, maxLength }).map((text) => text.trim());

test('DELETE /calls/{callId} accepts exactly the Idempotency-Keys that the OpenAPI schema accepts', async () => {
  const { parameters } = document.paths['/calls/{callId}']?.delete ?? {};
  const key = parameters?.find(({ name }) => name === 'idempotency-key');
  const validate = ajv.compile({ ...key?.schema });
  const latin = fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code));
  const text = fc.oneof(
    header(fc.constantFrom('"', '\\', 'a', ',', ' '), 6),
    header(latin, 20),
    header(fc.constantFrom('a', 'b'), 270).map((value) => `"${value}"`),
    fc.constantFrom(...[254, 255, 256].flatMap((n) => ['x'.repeat(n), `"${'x'.repeat(n)}"`])),
    fc.constantFrom(`"${'\\"'.repeat(255)}"`, `"${'\\"'.repeat(256)}"`),
  );
  const seen = { accepted: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(
      text.filter((value) => !/[\x7f-\x9f]/.test(value)),
      async (value) => {
        const answer = await hangup.send('DELETE', '/api/v1/calls/ended', {
          headers: { 'idempotency-key': value },
        });
        const isFitting = validate(value);
        seen[isFitting ? 'accepted' : 'refused'] += 1;
        const message = isFitting ? /^Cannot cancel call with status: completed$/ : /^Idempotency-Key: /;
        expect(answer, JSON.stringify(value)).toMatchObject({
          status: 400,
          body: { error: { message: expect.stringMatching(message) } },
        });
        assertDocumented('/calls/{callId}', 'delete', answer);
      },
    ),
    { numRuns: 500 },
  );
  expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(50);
});

test('the OpenAPI schema of the Idempotency-Key accepts only values that a header can contain', () => {
  const { parameters } = document.paths['/calls/{callId}']?.delete ?? {};
  const validate = ajv.compile({ ...parameters?.find(({ name }) => name === 'idempotency-key')?.schema });
  for (const key of ['a', 'a b', 'é', 'ÿ', '" a "', String.raw`"\\"`]) expect(validate(key), key).toBe(true);
  // HTTP removes spaces at the ends, and has no characters beyond U+00FF.
  for (const key of ['', ' ', ' a', 'a ', 'Ā', '"Ā"', '😀', '"a" ', 'a\n'])
    expect(validate(key), key).toBe(false);
});
