import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AnyTRPCRouter, callTRPCProcedure, TRPCError } from '@trpc/server';
import { badRequest, METHOD_NOT_ALLOWED, NOT_FOUND, publicError, unrecognizedKeys } from '../api/errors.ts';
import type { Context } from '../api/trpc.ts';
import { assertNoBody, readJsonObject, readOptionalJsonObject } from './body.ts';
import { createQueryParsers, parseQuery, type QueryParsers } from './query.ts';
import type { ErrorListener, HttpRequest, Target } from './request.ts';
import { sendError, sendJson } from './response.ts';
import { collectRoutes, type Route } from './routes.ts';

interface Endpoint extends Route {
  /** Names of the inputs in the query or in the body. */
  readonly inputNames: readonly string[];
  readonly parsers: QueryParsers;
}

interface RouteTemplate {
  readonly pattern: RegExp;
  readonly endpoints: Map<string, Endpoint>;
}

/** Creates the handler of REST requests. Each procedure with `meta.rest` is an endpoint. */
export function createRestHandler({
  router,
  onError,
}: {
  router: AnyTRPCRouter;
  onError: ErrorListener;
}): (request: HttpRequest, response: ServerResponse, target: Target, context: Context) => Promise<void> {
  const templates = new Map<string, RouteTemplate>();
  for (const route of collectRoutes(router)) {
    const path = route.rest.path.slice(1);
    const template = templates.get(path) ?? { pattern: toPattern(path), endpoints: new Map() };
    template.endpoints.set(route.rest.method, toEndpoint(route));
    templates.set(path, template);
  }

  return async (request, response, { path, search }, context) => {
    try {
      const route = matchRoute(templates.values(), path);
      if (route === null) {
        sendError(request, response, NOT_FOUND);
        return;
      }
      const { endpoints, parameters } = route;
      const endpoint = endpoints.get(request.method === 'HEAD' ? 'GET' : (request.method ?? ''));
      if (endpoint === undefined) {
        const methods = [...endpoints.keys()].flatMap((method) =>
          method === 'GET' ? ['GET', 'HEAD'] : method,
        );
        sendError(request, response, METHOD_NOT_ALLOWED, { allow: methods.join(', ') });
        return;
      }
      const data: unknown = await callTRPCProcedure({
        router,
        path: endpoint.procedure,
        type: endpoint.type,
        ctx: { ...context, pathInput: parameters },
        // tRPC calls this when the procedure needs its input, after the checks for 401, 404 and 403.
        getRawInput: memoize(async () =>
          checkInput(endpoint, {
            ...(await readInput(endpoint, { request, response, search })),
            ...readHeaders(endpoint, request),
            ...parameters,
          }),
        ),
        // No signal: the disconnect of a client must not stop its cancel.
        signal: undefined,
        batchIndex: 0,
      });
      const { status, message } = endpoint.rest.success;
      sendJson(request, response, status, message === undefined ? { data } : { data, message });
    } catch (error) {
      const clientError = publicError(error);
      if (clientError.code >= 500) onError(error, request);
      sendError(request, response, clientError);
    }
  };
}

/** Returns a pattern of a path. URLPattern would resolve `..`: the path `calls/a/../b` would reach the call b. */
function toPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
}

function matchRoute(templates: Iterable<RouteTemplate>, path: string) {
  for (const { pattern, endpoints } of templates) {
    const match = pattern.exec(path);
    if (match !== null) return { endpoints, parameters: decodeParameters(match.groups ?? {}) };
  }
  return null;
}

/** Decodes path parameters. Invalid percent-encoding stays unchanged: no call has such an id. */
function decodeParameters(groups: Record<string, string>): Record<string, string> {
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

/**
 * Checks the input by REST's own schema, which may be narrower than the schema of the procedure.
 * @throws TRPCError 400
 */
function checkInput({ rest }: Endpoint, raw: object): object {
  const error = rest.input?.safeParse(raw).error;
  if (error !== undefined) throw new TRPCError({ code: 'BAD_REQUEST', cause: error });
  return raw;
}

function toEndpoint(route: Route): Endpoint {
  const otherNames = [...route.pathParameters, ...Object.values(route.rest.headers ?? {})];
  const inputNames = Object.keys(route.input.shape).filter((name) => !otherNames.includes(name));
  const parsers = createQueryParsers(route.input, route.rest.method === 'POST' ? [] : inputNames);
  return { ...route, inputNames, parsers };
}

/**
 * Returns the inputs in query and body. GET reads the query, POST the body, and DELETE both.
 * @throws TRPCError 400 that names an unknown input, or an input in both
 */
async function readInput(
  { rest, inputNames, parsers }: Endpoint,
  { request, response, search }: { request: IncomingMessage; response: ServerResponse; search: string },
): Promise<object> {
  const query = parseQuery(parsers, search);
  if (rest.method === 'GET') {
    assertNoBody(request);
    return query;
  }
  const read = rest.method === 'POST' ? readJsonObject : readOptionalJsonObject;
  const body = await read(request, response);
  const unknown = Object.keys(body).filter((name) => !inputNames.includes(name));
  if (unknown.length > 0) throw badRequest(unrecognizedKeys(unknown));
  const duplicate = Object.keys(body).find((name) => name in query);
  if (duplicate !== undefined) {
    throw badRequest(`${duplicate}: expected in the query or in the body, not in both`);
  }
  return { ...query, ...body };
}

function readHeaders({ rest }: Endpoint, { headers }: IncomingMessage): object {
  return Object.fromEntries(
    Object.entries(rest.headers ?? {}).flatMap(([header, name]) =>
      headers[header] === undefined ? [] : [[name, headers[header]]],
    ),
  );
}

function memoize<T>(read: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= read();
    return result;
  };
}
