import type { AnyTRPCRouter } from '@trpc/server';
import { z } from 'zod';
import {
  createDocument,
  type ZodOpenApiObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { isReplayed, METHOD_NOT_ALLOWED, type PublicError, publicError } from '../api/errors.ts';
import { REPLAYED_HEADER } from '../api/idempotency-key.ts';
import { rateLimited, StoreBusyError } from '../domain/errors.ts';
import { RATE_LIMIT_WINDOW_S } from '../domain/rate-limit.ts';
import { codeSamples } from './code-samples.ts';
import { simplifySchema } from './openapi-schema.ts';
import { HEADERS_TOO_LARGE } from './protocol-errors.ts';
import { errorBody } from './response.ts';
import { collectRoutes, inputNamesOf, policyOf, type Route } from './routes.ts';

const ErrorBody = z
  .object({ error: z.object({ message: z.string(), code: z.int() }) })
  // Not `Error`, which is a class in TypeScript and Java.
  .meta({ id: 'ErrorResponse', description: 'Every error has this shape. `code` is the HTTP status.' });

/** Errors that every endpoint can return. */
const COMMON_ERRORS: readonly PublicError[] = [
  METHOD_NOT_ALLOWED,
  HEADERS_TOO_LARGE,
  publicError(new Error()),
  publicError(new StoreBusyError()),
];

const REQUEST_ID = z
  .string()
  .meta({ description: 'Request id, also in the server log. Include it in bug reports.' });

const RATE_LIMIT_HEADERS = {
  'ratelimit-policy': z.string().optional().meta({
    description: 'The limits that the request counts in: requests `q` in `w` seconds.',
    example: '"calls";q=600;w=60',
  }),
  ratelimit: z.string().optional().meta({
    description:
      'The remaining requests `r` of each limit, and the seconds `t` until all are available again.',
    example: '"calls";r=599;t=12',
  }),
};

const RETRY_AFTER = z
  .string()
  .regex(/^[0-9]+$/)
  .meta({ description: 'Seconds to wait before a retry.', example: '12' });

const REPLAYED = z.literal('true').optional().meta({
  description: 'Present if this is the first response under the Idempotency-Key again.',
});

/** Markdown. References show it above the operations. */
const DESCRIPTION = `Cancel a LiveKit call, and know that it is over.

Send an API key with each request. A key gives access to the calls of one organization.

Every error has the form \`{"error": {"message", "code"}}\`, and \`code\` is the HTTP status. Repeat a request after 408, 429 and every 5xx, after the time in \`retry-after\` if it is present. With the header \`idempotency-key\`, a repeated POST or DELETE gets the first response again.

All times are ISO 8601 in UTC with milliseconds.`;

/** Returns the OpenAPI 3.1 document of the REST API, made from the schemas that check requests and responses. */
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
      description: DESCRIPTION,
      contact: { name: 'hangup contributors' },
      license: { name: 'Apache License 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/api/v1', description: 'The hangup that serves this document.' }],
    tags: [
      { name: 'Adoption', description: 'Turn unregistered rooms into calls.' },
      { name: 'Calls', description: 'Register, list, cancel and watch the calls of your organization.' },
      { name: 'Cancellations', description: 'Cancel all matching calls: the emergency stop.' },
      { name: 'Keys', description: 'Read the scopes of your API key. Manage the keys of your organization.' },
      { name: 'Overview', description: 'Read the state of agents, room deletions and hangup.' },
    ],
    security: [{ ApiKey: [] }, { Bearer: [] }],
    paths: paths as ZodOpenApiPathsObject,
    components: {
      securitySchemes: {
        ApiKey: {
          type: 'apiKey',
          in: 'header',
          name: 'x-api-key',
          description:
            'An API key, made by `hangup keys create`. The 403 of an operation names the required scope.',
        },
        Bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'The same API key as `Authorization: Bearer KEY`.',
        },
      },
    },
  };
  const created = createDocument(document, { override: simplifySchema });
  for (const path of Object.values(created.paths ?? {})) {
    for (const { parameters = [] } of [path.get, path.post, path.delete].filter(isDefined)) {
      for (const parameter of parameters) describeParameter(parameter);
    }
  }
  return created;
}

type Operation = NonNullable<Awaited<ReturnType<typeof createDocument>>['paths']>[string]['get'];
type Parameter = NonNullable<NonNullable<Operation>['parameters']>[number];

const isDefined = <T>(value: T | undefined): value is T => value !== undefined;

/** Adds the schema's description to the parameter, where linters and references expect the description. */
function describeParameter(parameter: Parameter): void {
  if (!('schema' in parameter) || parameter.description !== undefined) return;
  const { schema } = parameter;
  if (typeof schema === 'object' && 'description' in schema && schema.description !== undefined) {
    parameter.description = schema.description;
  }
}

function operation(route: Route) {
  const { rest, input, pathParameters } = route;
  const inputNames = inputNamesOf(route);
  // Some generators give a header and a query parameter of the same input one name.
  const headers = Object.entries(rest.headers ?? {}).filter(([, name]) => !inputNames.includes(name));
  const inputs = Object.fromEntries(
    Object.entries(input.shape).filter(([name]) => inputNames.includes(name)),
  );
  const isBody = rest.method === 'POST';
  return {
    operationId: rest.operationId,
    summary: rest.summary,
    description: rest.description,
    tags: [tagOf(rest.path)],
    requestParams: {
      path: z.object(Object.fromEntries(pathParameters.map((name) => [name, schemaOf(input, name)]))),
      header: z.object(Object.fromEntries(headers.map(([header, name]) => [header, schemaOf(input, name)]))),
      ...(!isBody && { query: z.object(inputs) }),
    },
    ...(isBody && {
      requestBody: {
        required: true,
        content: { 'application/json': { schema: z.strictObject(inputs).meta({ ...input.meta() }) } },
      },
    }),
    responses: responses(route),
    'x-codeSamples': codeSamples(rest),
  };
}

function tagOf(path: string): string {
  if (path.startsWith('/api-keys')) return 'Keys';
  if (path.startsWith('/cancellations')) return 'Cancellations';
  if (path.startsWith('/adoption-prefixes')) return 'Adoption';
  return /^\/(agents|room-deletions|health)/.test(path) ? 'Overview' : 'Calls';
}

function schemaOf(input: z.ZodObject, name: string): z.core.$ZodType {
  const schema = input.shape[name];
  if (schema === undefined) throw new Error(`${name} is not in the input`);
  return schema;
}

function responses(route: Route): ZodOpenApiResponsesObject {
  const { rest, output } = route;
  const { success, otherSuccess, errors, headers: requestHeaders, contentType } = rest;
  const { status, message, example, headers = {} } = success;
  const isRepeatable = requestHeaders !== undefined && 'idempotency-key' in requestHeaders;
  const refusals = errors.filter(isReplayed).map((error) => publicError(error).code);
  const replayed = isRepeatable ? [status, otherSuccess?.status, ...refusals] : [];
  const policy = policyOf(route);
  const limitErrors = [...(policy === null ? [] : [policy]), 'anonymous' as const].map((limit) =>
    rateLimited(limit, RATE_LIMIT_WINDOW_S),
  );
  const headersOf = (code: number) => ({
    'x-request-id': REQUEST_ID,
    // Without a valid API key, every endpoint has the limit of an address.
    ...((policy !== null || code === 401 || code === 429) && RATE_LIMIT_HEADERS),
    ...((code === 429 || code === 503) && { 'retry-after': RETRY_AFTER }),
    ...(replayed.includes(code) && { [REPLAYED_HEADER]: REPLAYED }),
  });
  const withMessage = message !== undefined && { message: z.literal(message) };
  const headerSchemas = Object.entries(headers).map(([name, { description }]) => [
    name,
    z.string().meta({ description }),
  ]);
  return {
    [`${status}`]: {
      description: message ?? 'Success',
      headers: z.object({ ...headersOf(status), ...Object.fromEntries(headerSchemas) }),
      content:
        contentType !== undefined
          ? { [contentType]: { schema: z.string(), example } }
          : {
              'application/json': {
                schema: z.object({ data: success.output ?? output, ...withMessage }),
                example: message === undefined ? { data: example } : { data: example, message },
              },
            },
    },
    ...(otherSuccess && {
      [`${otherSuccess.status}`]: {
        description: otherSuccess.description,
        headers: z.object(headersOf(otherSuccess.status)),
        content: {
          'application/json': {
            schema: z.object({ data: otherSuccess.output }),
            example: { data: otherSuccess.example },
          },
        },
      },
    }),
    ...Object.fromEntries(
      [
        ...Map.groupBy(
          [...[...errors, ...limitErrors].map(publicError), ...COMMON_ERRORS],
          ({ code }) => code,
        ),
      ].map(([code, examples]) => [
        `${code}`,
        { ...errorResponse(examples), headers: z.object(headersOf(code)) },
      ]),
    ),
  };
}

function errorResponse(examples: readonly PublicError[]) {
  return {
    description: examples[0]?.message ?? '',
    content: {
      'application/json': {
        schema: ErrorBody,
        examples: Object.fromEntries(
          examples.map((error, index) => [`example${index + 1}`, { value: errorBody(error) }]),
        ),
      },
    },
  };
}
