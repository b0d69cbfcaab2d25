import type { ServerResponse } from 'node:http';
import type { AnyTRPCRouter } from '@trpc/server';
import { badRequest, METHOD_NOT_ALLOWED, NOT_FOUND, publicError, unrecognizedKeys } from '../api/errors.ts';
import { EventStream } from '../api/events/event-stream.ts';
import type { ProcedureRequest } from '../api/procedure-request.ts';
import type { ServerDependencies } from '../operations/dependencies.ts';
import { authenticateRequest } from './authenticate-request.ts';
import { assertNoBody, hasBody, readJsonObject, readOptionalJsonObject } from './body.ts';
import { sendEvents } from './event-stream.ts';
import { hasIdempotencyKey, markReplayed, readIdempotencyKey } from './idempotency-key.ts';
import { createQueryParsers, parseQuery, type QueryParsers } from './query.ts';
import type { RateLimits } from './rate-limits.ts';
import type { ErrorListener, Handler, HttpRequest } from './request.ts';
import { sendError, sendJson } from './response.ts';
import { collectRoutes, inputNamesOf, policyOf, type Route } from './routes.ts';

interface Endpoint extends Route {
  /** Names of the inputs in the query or in the body. */
  readonly inputNames: readonly string[];
  readonly parsers: QueryParsers;
  /** The input that each request header sets. */
  readonly headers: readonly (readonly [header: string, input: string])[];
}

type PathParameters = Record<string, string>;

interface RouteTemplate {
  readonly segments: readonly { readonly text: string; readonly isParameter: boolean }[];
  readonly endpoints: Map<string, Endpoint>;
}

/** Creates the handler of REST requests. Each procedure with a REST endpoint has a route. */
export function createRestHandler({
  router,
  dependencies,
  limits,
  draining,
  onError,
}: {
  router: AnyTRPCRouter;
  dependencies: ServerDependencies;
  limits: RateLimits;
  /** Aborted when the server shuts down. */
  draining: AbortSignal;
  onError: ErrorListener;
}): Handler {
  const templates = createTemplates(router);
  const streamOptions = { ...dependencies, draining };

  return async (request, response, { path, search }) => {
    try {
      const route = matchRoute(templates, path);
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
      const data = await endpoint.run(
        new RestRequest(dependencies, endpoint, { request, response, search, parameters, limits }),
      );
      if (data instanceof EventStream) await sendEvents(request, response, data, streamOptions);
      else sendData(request, response, endpoint.rest, data);
    } catch (error) {
      const clientError = publicError(error);
      if (clientError.code >= 500) onError(error, request);
      // A stream that has begun cannot send an error: its client connects again.
      if (response.headersSent) response.destroy();
      else sendError(request, response, clientError);
    }
  };
}

function sendData(
  request: HttpRequest,
  response: ServerResponse,
  { success, otherSuccess }: Endpoint['rest'],
  data: unknown,
): void {
  if (otherSuccess?.isReturned(data)) {
    sendJson(request, response, otherSuccess.status, { data });
    return;
  }
  const { status, message, headers } = success;
  const body = message === undefined ? { data } : { data, message };
  sendJson(request, response, status, body, headers && headersOf(headers, data));
}

function headersOf(
  definitions: NonNullable<Endpoint['rest']['success']['headers']>,
  data: unknown,
): Record<string, string> {
  const pairs = Object.entries(definitions).flatMap(([name, { read }]) => {
    const value = read(data);
    return value === null ? [] : [[name, value]];
  });
  return Object.fromEntries(pairs);
}

function createTemplates(router: AnyTRPCRouter): readonly RouteTemplate[] {
  const templates = new Map<string, RouteTemplate>();
  for (const route of collectRoutes(router)) {
    const { method, path } = route.rest;
    const template = templates.get(path) ?? { segments: toSegments(path), endpoints: new Map() };
    template.endpoints.set(method, toEndpoint(route));
    templates.set(path, template);
  }
  return [...templates.values()];
}

function toSegments(path: string): RouteTemplate['segments'] {
  return path
    .slice(1)
    .split('/')
    .map((text) => {
      const name = /^\{(\w+)\}$/.exec(text)?.[1];
      return { text: name ?? text, isParameter: name !== undefined };
    });
}

function toEndpoint(route: Route): Endpoint {
  const headers = Object.entries(route.rest.headers ?? {});
  const inputNames = inputNamesOf(route);
  const parsers = createQueryParsers(route.input, route.rest.method === 'POST' ? [] : inputNames);
  return { ...route, inputNames, parsers, headers };
}

/** Matches each segment as it is. URLPattern would resolve `..`: the path `calls/a/../b` would reach the call b. */
function matchRoute(templates: readonly RouteTemplate[], path: string) {
  const texts = path.split('/');
  for (const { segments, endpoints } of templates) {
    const parameters = matchSegments(segments, texts);
    if (parameters !== null) return { endpoints, parameters };
  }
  return null;
}

function matchSegments(segments: RouteTemplate['segments'], texts: readonly string[]): PathParameters | null {
  if (segments.length !== texts.length) return null;
  const parameters: PathParameters = {};
  for (let i = 0; i < segments.length; i += 1) {
    const { text = '', isParameter } = segments[i] ?? {};
    const actual = texts[i] ?? '';
    if (isParameter ? actual === '' : actual !== text) return null;
    if (isParameter) parameters[text] = decodeParameter(actual);
  }
  return parameters;
}

/** Decodes a path parameter. Invalid percent-encoding stays unchanged: no call has such an id. */
function decodeParameter(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

class RestRequest implements ProcedureRequest {
  readonly transport = 'rest';
  readonly dependencies: ServerDependencies;
  private readonly endpoint: Endpoint;
  private readonly request: HttpRequest;
  private readonly response: ServerResponse;
  private readonly search: string;
  private readonly parameters: PathParameters;
  private readonly limits: RateLimits;

  constructor(
    dependencies: ServerDependencies,
    endpoint: Endpoint,
    {
      request,
      response,
      search,
      parameters,
      limits,
    }: {
      request: HttpRequest;
      response: ServerResponse;
      search: string;
      parameters: PathParameters;
      limits: RateLimits;
    },
  ) {
    this.dependencies = dependencies;
    this.endpoint = endpoint;
    this.request = request;
    this.response = response;
    this.search = search;
    this.parameters = parameters;
    this.limits = limits;
  }

  async authenticate() {
    const { limits, request, parameters } = this;
    const found = await authenticateRequest(this.dependencies, request, parameters['callId']);
    // The key first: while an address guesses keys, valid keys from the same address still work.
    if (found.apiKey === null) await limits.countAnonymous(request);
    else await limits.countCall(request, found.apiKey, policyOf(this.endpoint));
    return found;
  }

  async isKeyActive() {
    return (await authenticateRequest(this.dependencies, this.request)).apiKey !== null;
  }

  readCallId() {
    return this.parameters['callId'];
  }

  /**
   * Returns the inputs in path, headers, query and body. GET reads the query, POST the body, and DELETE both.
   * @throws TRPCError 400 that names an unknown input, or an input in both query and body
   */
  readInput(): object | Promise<object> {
    const { endpoint, request, search } = this;
    const { method } = endpoint.rest;
    const query = search === '' ? {} : parseQuery(endpoint.parsers, search);
    if (method === 'GET') assertNoBody(request);
    else if (method === 'POST' || hasBody(request)) return this.readBody(query);
    return this.addHeaders({ ...query, ...this.parameters });
  }

  private async readBody(query: object): Promise<object> {
    const { endpoint, request, response, parameters } = this;
    const { rest, inputNames } = endpoint;
    const read = rest.method === 'POST' ? readJsonObject : readOptionalJsonObject;
    const body = await read(request, response, rest.maxBodyBytes);
    const unknown = Object.keys(body).filter((name) => !inputNames.includes(name));
    if (unknown.length > 0) throw badRequest(unrecognizedKeys(unknown));
    const duplicate = Object.keys(body).find((name) => name in query);
    if (duplicate !== undefined) {
      throw badRequest(`${duplicate}: expected in the query or in the body, not in both`);
    }
    return this.addHeaders({ ...query, ...body, ...parameters });
  }

  private addHeaders(inputs: Record<string, unknown>): object {
    const { rest, headers } = this.endpoint;
    const acceptsKey = headers.some(([header]) => header === 'idempotency-key');
    if (rest.method !== 'GET' && !acceptsKey && hasIdempotencyKey(this.request)) {
      throw badRequest('Idempotency-Key: not accepted by this endpoint');
    }
    for (const [header, name] of headers) {
      const value =
        header === 'idempotency-key' ? readIdempotencyKey(this.request) : this.request.headers[header];
      if (value !== undefined) inputs[name] = value;
    }
    return inputs;
  }

  hasIdempotencyKey(): boolean {
    return hasIdempotencyKey(this.request);
  }

  markReplayed(): void {
    markReplayed(this.response);
  }
}
