import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AnyTRPCRouter, callTRPCProcedure, TRPCError } from '@trpc/server';
import { publicError } from '../api/errors.ts';
import type { Context } from '../api/trpc.ts';
import { sendError, sendJson } from './answer.ts';
import { readJsonObject } from './body.ts';
import { queryReaders } from './query.ts';
import { collectRoutes, type Route } from './routes.ts';

type Endpoint = Route & { readonly readers: ReturnType<typeof queryReaders> };

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
    template.endpoints.set(route.rest.method, { ...route, readers: queryReaders(route.input) });
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
        ctx: context,
        // tRPC asks for it when the procedure needs it, so after authentication: a 401 never reads a body.
        getRawInput: once(async () =>
          check(endpoint, {
            ...(endpoint.rest.method === 'POST'
              ? await readJsonObject(request, response)
              : readQuery(endpoint, search)),
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

function readQuery({ readers, pathParameters, rest }: Endpoint, search: string): object {
  const query = new URLSearchParams(search);
  const fromHeaders = Object.values(rest.headers ?? {});
  return Object.fromEntries(
    [...readers]
      .filter(([name]) => query.has(name) && !pathParameters.includes(name) && !fromHeaders.includes(name))
      .map(([name, read]) => [name, read(query.getAll(name))]),
  );
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
