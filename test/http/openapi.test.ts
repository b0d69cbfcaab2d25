import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CALL_DETAILS_EXAMPLE, CallDetails } from '../../src/api/calls/call-details.ts';
import { CALL_EVENTS_EXAMPLE, CallEvents } from '../../src/api/calls/events.ts';
import { CALL_LIST_EXAMPLE, CallList } from '../../src/api/calls/list.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';

interface Operation {
  operationId: string;
  description?: string;
  'x-codeSamples': { label: string; source: string }[];
  parameters?: { name: string; in: string; required?: boolean; description?: string }[];
  requestBody?: unknown;
  responses: Record<
    string,
    { headers: object; content: { 'application/json': { example?: unknown; examples?: object } } }
  >;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

let hangup: Hangup;
let document: Document;
beforeAll(async () => {
  hangup = await startHangup();
  document = (await hangup.send('GET', '/openapi.json', { key: null })).body as Document;
});
afterAll(() => hangup.stop());

const operations = () => Object.values(document.paths).flatMap((operation) => Object.values(operation));

test('the OpenAPI document is valid OpenAPI 3.1', async () => {
  expect(document.openapi).toBe('3.1.1');
  expect(await new Validator().validate({ ...document })).toEqual({ valid: true });
});

test('the OpenAPI document has every endpoint', () => {
  expect(
    operations()
      .map(({ operationId }) => operationId)
      .sort(),
  ).toEqual([
    'addAdoptionPrefix',
    'cancelCall',
    'createApiKey',
    'createCall',
    'createCancellation',
    'getCall',
    'getCancellation',
    'getCurrentApiKey',
    'getHealth',
    'getHealthFindings',
    'getHealthHistory',
    'liftHold',
    'listAdoptionPrefixes',
    'listAgents',
    'listApiKeys',
    'listCallEvents',
    'listCalls',
    'listCancellations',
    'listRoomDeletions',
    'removeAdoptionPrefix',
    'retryRoomDeletion',
    'revokeApiKey',
    'searchCalls',
    'streamEvents',
  ]);
  expect(document.paths['/calls/{callId}']?.delete?.parameters).toMatchObject([
    { name: 'callId', in: 'path', required: true },
    { name: 'idempotency-key', in: 'header' },
    { name: 'reason', in: 'query' },
  ]);
});

test('every POST and DELETE of calls has the header Idempotency-Key, outside of the body, and no GET has it', () => {
  const methods = Object.entries(document.paths)
    .filter(([path]) => !/^\/(api-keys|adoption-prefixes)/.test(path))
    .flatMap(([, operation]) => Object.entries(operation));
  const withKey = methods.filter(([, { parameters }]) =>
    parameters?.some(({ name, in: place }) => name === 'idempotency-key' && place === 'header'),
  );
  expect(withKey.map(([method]) => method)).toEqual(
    methods.map(([method]) => method).filter((method) => method === 'post' || method === 'delete'),
  );
  expect(withKey.length).toBeGreaterThan(3);
  for (const [, { responses }] of withKey) expect(Object.keys(responses)).toContain('422');
  expect(JSON.stringify(document)).not.toContain('idempotencyKey');
});

test('each response that can be a replay has the header idempotent-replayed', () => {
  const replays = operations().flatMap(({ operationId, responses }) => {
    const statuses = Object.entries(responses).filter(([, { headers }]) => 'idempotent-replayed' in headers);
    return statuses.length === 0 ? [] : [[operationId, statuses.map(([status]) => Number(status))]];
  });
  expect(Object.fromEntries(replays)).toEqual({
    cancelCall: [200, 400],
    createCall: [201, 409],
    createCancellation: [200, 202, 412],
    liftHold: [200],
    retryRoomDeletion: [200, 409],
  });
});

test('every endpoint has 429, with the limits that it counts in', () => {
  const HEADERS = ['x-request-id', 'ratelimit-policy', 'ratelimit', 'retry-after'];
  const limits = operations().map(({ operationId, responses }) => {
    const { headers = {}, content } = responses['429'] ?? {};
    expect(Object.keys(headers), operationId).toEqual(HEADERS);
    const text = JSON.stringify(content);
    return [
      operationId,
      text.includes('requests with this API key'),
      text.includes('cancels with this API key'),
    ];
  });
  const unlimited = [
    'createCancellation',
    'getCancellation',
    'getCurrentApiKey',
    'liftHold',
    'listCancellations',
  ];
  const cancels = ['cancelCall', 'retryRoomDeletion'];
  expect(limits).toEqual(
    operations().map(({ operationId }) => [
      operationId,
      ![...cancels, ...unlimited].includes(operationId),
      cancels.includes(operationId),
    ]),
  );
  for (const { operationId, responses } of operations()) {
    const limited = Object.entries(responses).filter(([, { headers }]) => 'ratelimit' in headers);
    const statuses = unlimited.includes(operationId) ? ['401', '429'] : Object.keys(responses);
    expect(
      limited.map(([status]) => status),
      operationId,
    ).toEqual(statuses);
  }
});

const NEEDS_NO_SCOPE = 'getCurrentApiKey';

test('every response in the OpenAPI document has an example, and every error its status and message', () => {
  for (const { operationId, responses } of operations()) {
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['401', '405', '431', '500']));
    expect('403' in responses, operationId).toBe(operationId !== NEEDS_NO_SCOPE);
    for (const [status, response] of Object.entries(responses)) {
      const [content] = Object.values(response.content);
      const { example, examples } = content ?? {};
      const shown = example ?? Object.values(examples ?? {})[0];
      expect(shown, `${operationId} ${status}`).toBeDefined();
    }
  }
  expect(document.paths['/calls/{callId}']?.delete?.responses).toMatchObject({
    '200': {
      content: {
        'application/json': {
          example: { data: { status: 'cancelled' }, message: 'Call cancelled successfully' },
        },
      },
    },
    '404': {
      content: {
        'application/json': {
          examples: { example1: { value: { error: { message: 'Call not found', code: 404 } } } },
        },
      },
    },
  });
});

test('the examples in the OpenAPI document pass the schemas unchanged', () => {
  expect(CallDetails.parse(CALL_DETAILS_EXAMPLE)).toEqual(CALL_DETAILS_EXAMPLE);
  expect(CallEvents.parse(CALL_EVENTS_EXAMPLE)).toEqual(CALL_EVENTS_EXAMPLE);
  expect(CallList.parse(CALL_LIST_EXAMPLE)).toEqual(CALL_LIST_EXAMPLE);
});

/** Returns all schemas below a part of the document, with their JSON pointers. */
function schemasIn(part: unknown, pointer = ''): (readonly [pointer: string, schema: Schema])[] {
  if (part === null || typeof part !== 'object') return [];
  return Object.entries(part).flatMap(([name, value]: [string, unknown]) => {
    const at = `${pointer}/${name}`;
    // Examples are data.
    if (name === 'example' || name === 'examples') return [];
    const isSchema = typeof value === 'object' && value !== null && IS_SCHEMA.test(at);
    return [...(isSchema ? [[at, value] as const] : []), ...schemasIn(value, at)];
  });
}

interface Schema {
  readonly $ref?: string;
  readonly type?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
}
const IS_SCHEMA = /\/(schema|schemas\/\w+|items|properties\/\w+|anyOf\/\d+)$/;

describe('the OpenAPI document suits client generators', () => {
  /** Requests and responses share the components. The schemas of requests are those that requests refer to. */
  const requestSchemas = () => {
    const requests = operations().map(({ parameters, requestBody }) => ({ parameters, requestBody }));
    return [...schemasIn({ requests }), ...schemasIn(document.components.schemas.CreateCall, '/CreateCall')];
  };

  test('no schema has only the type null, and summary and transcript are strings or null', () => {
    const alone = schemasIn(document).filter(
      ([pointer, { type }]) => type === 'null' && !/\/anyOf\/\d+$/.test(pointer),
    );
    expect(alone).toEqual([]);
    expect(document.components.schemas.CallDetails?.properties).toMatchObject({
      summary: { type: ['string', 'null'] },
      transcript: { type: ['string', 'null'] },
      startedAt: { type: ['string', 'null'], format: 'date-time' },
      duration: { type: ['integer', 'null'] },
    });
  });

  test('no schema has both a pattern and a format', () => {
    const all = schemasIn(document);
    expect(all.filter(([, { format, pattern }]) => format !== undefined && pattern !== undefined)).toEqual(
      [],
    );
    expect(all.filter(([, { format }]) => format === 'date-time').length).toBeGreaterThan(8);
  });

  test('no request schema has a default, and the description names the default', () => {
    const all = requestSchemas();
    expect(all.filter(([, schema]) => 'default' in schema)).toEqual([]);
    const inWords = all.flatMap(([, { description }]) => description?.match(/Default: [^.]+\./)?.[0] ?? []);
    expect(inWords.sort()).toEqual([
      'Default: 0.',
      'Default: 20.',
      'Default: 20.',
      'Default: 50.',
      'Default: 50.',
      'Default: 50.',
      'Default: createdAt.',
      'Default: desc.',
      'Default: outbound.',
    ]);
  });

  test('request schemas allow no additional properties, and response schemas do', () => {
    const { CreateCall, CallDetails, CallList } = document.components.schemas;
    expect(CreateCall).toMatchObject({ additionalProperties: false });
    for (const answer of [CallDetails, CallList]) expect(answer).not.toHaveProperty('additionalProperties');
  });

  test('anyOf appears only for nullable references', () => {
    const unions = schemasIn(document).flatMap(([pointer, { anyOf }]) => (anyOf ? [{ pointer, anyOf }] : []));
    expect(unions.length).toBeGreaterThan(2);
    expect(
      unions.filter(({ anyOf: [first, second] }) => first?.$ref === undefined || second?.type !== 'null'),
    ).toEqual([]);
  });
});

describe('the OpenAPI document suits references for readers', () => {
  test('every operation has code in curl, TypeScript and Python', () => {
    for (const { operationId, 'x-codeSamples': samples } of operations()) {
      expect(
        samples.map(({ label }) => label),
        operationId,
      ).toEqual(['curl', 'TypeScript', 'Python']);
      for (const { source } of samples) expect(source.split('\n').length).toBeGreaterThan(1);
    }
  });

  test('the code in curl has the method and the path of its operation', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { 'x-codeSamples': samples }] of Object.entries(methods)) {
        const [curl = { source: '' }] = samples;
        const hasBody = curl.source.includes("-d '");
        expect(curl.source).toContain(`/api/v1${path.split('{')[0]}`);
        if (method === 'delete') expect(curl.source).toMatch(/^curl -X DELETE /);
        if (method === 'post') expect(hasBody).toBe(true);
        if (method === 'get') expect(hasBody).toBe(false);
      }
    }
  });

  test('every operation and every parameter has a description', () => {
    const described = operations().flatMap(({ description, parameters = [] }) => [
      description,
      ...parameters.map((parameter) => parameter.description),
    ]);
    expect(described.length).toBeGreaterThan(20);
    expect(described.filter((description) => !description)).toEqual([]);
  });
});
