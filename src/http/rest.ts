import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AnyTRPCRouter, callTRPCProcedure, TRPCError } from '@trpc/server';
import { badRequest, publicError, unrecognized } from '../api/errors.ts';
import type { Context } from '../api/trpc.ts';
import { assertNoBody, readJsonObject, readOptionalObject } from './body.ts';
import { type QueryReaders, queryReaders, readQuery } from './query.ts';
import { sendError, sendJson } from './response.ts';
import { collectRoutes, type Route } from './routes.ts';

interface Endpoint extends Route {
  /** Names of the inputs that are neither in the path nor in headers. */
  readonly names: readonly string[];
  readonly readers: QueryReaders;
}

interface Template {
  readonly pattern: RegExp;
  readonly endpoints: Map<string, Endpoint>;
}

/** REST over the tRPC router: each procedure with `meta.rest` is an endpoint under `basePath`. */
export function createRestHandler({
  router,
  basePath,
  onFault,
}: {
  router: AnyTRPCRouter;
  basePath: string;
  /** Told of what the client is not told. */
  onFault: (error: unknown, request: IncomingMessage) => void;
}): (
  request: IncomingMessage,
  response: ServerResponse,
  url: { pathname: string; search: string },
  context: Context,
) => Promise<void> {
  const templates = new Map<string, Template>();
  for (const route of collectRoutes(router)) {
    const path = basePath + route.rest.path;
    const template = templates.get(path) ?? { pattern: toPattern(path), endpoints: new Map() };
    template.endpoints.set(route.rest.method, toEndpoint(route));
    templates.set(path, template);
  }

  return async (request, response, { pathname, search }, context) => {
    try {
      const found = find(templates.values(), pathname);
      if (found === null) {
        sendError(request, response, { code: 404, message: 'Not found' });
        return;
      }
      const { endpoints, parameters } = found;
      const endpoint = endpoints.get(request.method === 'HEAD' ? 'GET' : (request.method ?? ''));
      if (endpoint === undefined) {
        const allow = [...endpoints.keys()].flatMap((method) =>
          method === 'GET' ? ['GET', 'HEAD'] : method,
        );
        sendError(
          request,
          response,
          { code: 405, message: 'Method not allowed' },
          { allow: allow.join(', ') },
        );
        return;
      }
      const data: unknown = await callTRPCProcedure({
        router,
        path: endpoint.procedure,
        type: endpoint.type,
        ctx: { ...context, pathInput: parameters },
        // tRPC asks for it when the procedure needs it, so after 401, 404 and 403: those never read a body.
        getRawInput: once(async () =>
          check(endpoint, {
            ...(await readInput(endpoint, { request, response, search })),
            ...readHeaders(endpoint, request),
            ...parameters,
          }),
        ),
        // A client that hangs up does not stop what it began.
        signal: undefined,
        batchIndex: 0,
      });
      const { status, message } = endpoint.rest.success;
      sendJson(request, response, status, message === undefined ? { data } : { data, message });
    } catch (error) {
      const answer = publicError(error);
      if (answer.code >= 500) onFault(error, request);
      sendError(request, response, answer);
    }
  };
}

function toPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
}

function find(templates: Iterable<Template>, pathname: string) {
  for (const { pattern, endpoints } of templates) {
    const match = pattern.exec(pathname);
    if (match !== null) return { endpoints, parameters: decode(match.groups ?? {}) };
  }
  return null;
}

/** What is no percent-encoding stays as it is: an id that nothing has. */
function decode(groups: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(groups).map(([name, value]) => {
      try {
        return [name, decodeURIComponent(value)];
      } catch {
        return [name, value];
      }
    }),
  );
}

/** The procedure checks its input itself, except where its own is wider than REST's. */
function check({ rest }: Endpoint, raw: object): object {
  const error = rest.input?.safeParse(raw).error;
  if (error !== undefined) throw new TRPCError({ code: 'BAD_REQUEST', cause: error });
  return raw;
}

function toEndpoint(route: Route): Endpoint {
  const elsewhere = [...route.pathParameters, ...Object.values(route.rest.headers ?? {})];
  const names = Object.keys(route.input.shape).filter((name) => !elsewhere.includes(name));
  return { ...route, names, readers: queryReaders(route.input, route.rest.method === 'POST' ? [] : names) };
}

/**
 * The inputs in query and body. GET has a query, POST a body, and DELETE one of them for each input.
 * @throws TRPCError 400 that names what the endpoint does not take
 */
async function readInput(
  { rest, names, readers }: Endpoint,
  { request, response, search }: { request: IncomingMessage; response: ServerResponse; search: string },
): Promise<object> {
  const query = readQuery(readers, search);
  if (rest.method === 'GET') {
    assertNoBody(request);
    return query;
  }
  const read = rest.method === 'POST' ? readJsonObject : readOptionalObject;
  const body = await read(request, response);
  const unknown = Object.keys(body).filter((name) => !names.includes(name));
  if (unknown.length > 0) throw badRequest(unrecognized(unknown));
  const twice = Object.keys(body).find((name) => name in query);
  if (twice !== undefined) throw badRequest(`${twice}: expected in the query or in the body, not in both`);
  return { ...query, ...body };
}

function readHeaders({ rest }: Endpoint, { headers }: IncomingMessage): object {
  return Object.fromEntries(
    Object.entries(rest.headers ?? {}).flatMap(([header, name]) =>
      headers[header] === undefined ? [] : [[name, headers[header]]],
    ),
  );
}

function once<T>(read: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= read();
    return result;
  };
}
