import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CALL_DETAILS_EXAMPLE, CALL_EVENTS_EXAMPLE, CALL_LIST_EXAMPLE } from '../../src/api/examples.ts';
import { CallDetails, CallEvents, CallList } from '../../src/api/schemas.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';

interface Operation {
  operationId: string;
  parameters?: { name: string; in: string; required?: boolean }[];
  requestBody?: unknown;
  responses: Record<string, { content: { 'application/json': { example?: unknown; examples?: object } } }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

let hangup: Hangup;
let document: Document;
beforeAll(async () => {
  hangup = await startHangup();
  document = (await hangup.send('GET', '/openapi.json', { key: null })).body as Document;
});
afterAll(() => hangup.stop());

const operations = () => Object.values(document.paths).flatMap((operation) => Object.values(operation));

test('it is valid OpenAPI 3.1', async () => {
  expect(document.openapi).toBe('3.1.1');
  expect(await new Validator().validate({ ...document })).toEqual({ valid: true });
});

test('it has every endpoint', () => {
  expect(
    operations()
      .map(({ operationId }) => operationId)
      .sort(),
  ).toEqual(['cancelCall', 'createCall', 'getCall', 'listCallEvents', 'listCalls']);
  expect(document.paths['/calls/{callId}']?.delete?.parameters).toMatchObject([
    { name: 'callId', in: 'path', required: true },
    { name: 'idempotency-key', in: 'header' },
    { name: 'reason', in: 'query' },
  ]);
});

test('every answer has its example, every error its status and message', () => {
  for (const { operationId, responses } of operations()) {
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['401', '403', '405', '431', '500']));
    for (const [status, response] of Object.entries(responses)) {
      const { example, examples } = response.content['application/json'];
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

test('the examples are what the schemas make', () => {
  expect(CallDetails.parse(CALL_DETAILS_EXAMPLE)).toEqual(CALL_DETAILS_EXAMPLE);
  expect(CallEvents.parse(CALL_EVENTS_EXAMPLE)).toEqual(CALL_EVENTS_EXAMPLE);
  expect(CallList.parse(CALL_LIST_EXAMPLE)).toEqual(CALL_LIST_EXAMPLE);
});
