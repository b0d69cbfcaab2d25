import type { AnyTRPCRouter } from '@trpc/server';
import { z } from 'zod';
import {
  createDocument,
  type ZodOpenApiObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { simplifySchema } from './openapi-schema.ts';
import { errorBody } from './response.ts';
import { collectRoutes, type Route } from './routes.ts';

const ErrorBody = z
  .object({ error: z.object({ message: z.string(), code: z.int() }) })
  // Not `Error`: TypeScript and Java have a class of that name.
  .meta({ id: 'ErrorResponse', description: 'The shape of every error; `code` is the HTTP status.' });

/** What every endpoint can answer, whatever it does. */
const ERRORS_OF_ALL: Readonly<Record<number, readonly string[]>> = {
  405: ['Method not allowed'],
  431: ['Request header fields too large'],
  500: ['Internal server error'],
  503: ['Service unavailable'],
};

/** The OpenAPI 3.1 document of the REST API, out of the same schemas that check its requests. */
export function openApiDocument(router: AnyTRPCRouter, version: string) {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of collectRoutes(router)) {
    const { path, method } = route.rest;
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(route) };
  }
  const document: ZodOpenApiObject = {
    openapi: '3.1.1',
    info: {
      title: 'hangup',
      version,
      description: 'Cancel a LiveKit call, and know that it is over.',
    },
    servers: [{ url: '/api/v1' }],
    tags: [{ name: 'Calls', description: 'Calls that your platform places, and their cancellation.' }],
    security: [{ ApiKey: [] }, { Bearer: [] }],
    paths: paths as ZodOpenApiPathsObject,
    components: {
      securitySchemes: {
        ApiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        Bearer: { type: 'http', scheme: 'bearer' },
      },
    },
  };
  return createDocument(document, { override: simplifySchema });
}

function operation({ rest, input, output, pathParameters }: Route) {
  const headers = Object.entries(rest.headers ?? {});
  const elsewhere = [...pathParameters, ...headers.map(([, name]) => name)];
  const others = Object.fromEntries(
    Object.entries(input.shape).filter(([name]) => !elsewhere.includes(name)),
  );
  const isBody = rest.method === 'POST';
  return {
    operationId: rest.operationId,
    summary: rest.summary,
    description: rest.description,
    tags: ['Calls'],
    requestParams: {
      path: z.object(Object.fromEntries(pathParameters.map((name) => [name, schemaOf(input, name)]))),
      header: z.object(Object.fromEntries(headers.map(([header, name]) => [header, schemaOf(input, name)]))),
      ...(!isBody && { query: z.object(others) }),
    },
    ...(isBody && { requestBody: { required: true, content: { 'application/json': { schema: input } } } }),
    responses: responses(rest, output),
  };
}

function schemaOf(input: z.ZodObject, name: string): z.core.$ZodType {
  const schema = input.shape[name];
  if (schema === undefined) throw new Error(`${name} is not in the input`);
  return schema;
}

function responses({ success, errors }: Route['rest'], output: z.ZodType): ZodOpenApiResponsesObject {
  const { status, message, example } = success;
  const withMessage = message !== undefined && { message: z.literal(message) };
  return {
    [`${status}`]: {
      description: message ?? 'Success',
      headers: z.object({ 'x-request-id': REQUEST_ID }),
      content: {
        'application/json': {
          schema: z.object({ data: output, ...withMessage }),
          example: message === undefined ? { data: example } : { data: example, message },
        },
      },
    },
    ...Object.fromEntries(
      Object.entries({ ...errors, ...ERRORS_OF_ALL }).map(([code, messages]) => [
        code,
        {
          description: messages[0] ?? '',
          headers: z.object({ 'x-request-id': REQUEST_ID }),
          content: {
            'application/json': {
              schema: ErrorBody,
              examples: Object.fromEntries(
                messages.map((text, index) => [
                  `example${index + 1}`,
                  { value: errorBody({ code: Number(code), message: text }) },
                ]),
              ),
            },
          },
        },
      ]),
    ),
  };
}

const REQUEST_ID = z.string().meta({ description: 'Name it when you report a problem: it is in the log.' });
