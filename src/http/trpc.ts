import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type AnyTRPCRouter, TRPCError } from '@trpc/server';
import { resolveResponse } from '@trpc/server/http';
import { publicError } from '../api/errors.ts';
import { type Context, errorShape, MAX_BATCH_SIZE } from '../api/trpc.ts';
import type { ServerDependencies } from '../operations/dependencies.ts';
import { STREAM_HEADERS, type StreamOptions, sendStream } from './event-stream.ts';
import type { RateLimits } from './rate-limits.ts';
import type { ErrorListener, Handler, HttpRequest } from './request.ts';
import { commonHeaders, sendJson, sendText } from './response.ts';
import { collectRoutes } from './routes.ts';
import { type Authenticate, TrpcCalls } from './trpc-calls.ts';
import { acceptsLines, findDirectRoutes, respondDirectly } from './trpc-direct.ts';

/**
 * Creates the handler of tRPC requests. Answers the requests of tRPC's standard links itself, because tRPC's own handler
 * takes several times as long as the procedure. All other requests, such as streams and requests for unknown procedures,
 * go to tRPC's handler.
 */
export function createTrpcHandler({
  router,
  dependencies,
  authenticate,
  limits,
  draining,
  onError,
}: {
  router: AnyTRPCRouter;
  dependencies: ServerDependencies;
  authenticate: Authenticate;
  limits: RateLimits;
  /** Aborted when the server shuts down. */
  draining: AbortSignal;
  onError: ErrorListener;
}): Handler {
  const streamOptions = { ...dependencies, draining };
  const routes = new Map(collectRoutes(router).map((route) => [route.procedure, route]));
  const report = (error: unknown, request: HttpRequest) => {
    if (publicError(error).code >= 500) onError(error, request);
  };

  return async (request, response, { path: encodedPath, search }) => {
    // Batches join paths with commas, which some proxies encode. Other encoded characters stay encoded.
    const path = encodedPath.includes('%') ? encodedPath.replaceAll(/%2C/gi, ',') : encodedPath;
    const calls = new TrpcCalls(dependencies, {
      request,
      response,
      path,
      search,
      routes,
      authenticate,
      limits,
    });
    const direct = findDirectRoutes(routes, request, calls);
    if (direct === null)
      await respondThroughTrpc(request, response, { router, path, calls, streamOptions, onError: report });
    else await respondDirectly(request, response, { calls, routes: direct, onError: report });
  };
}

/**
 * Passes a request to tRPC. tRPC's own adapter replaces bytes that are not UTF-8, drops unknown query parameters, decodes
 * paths, and omits GET's headers for HEAD. This function treats all of them as REST does.
 */
async function respondThroughTrpc(
  request: HttpRequest,
  response: ServerResponse,
  {
    router,
    path,
    calls,
    streamOptions,
    onError,
  }: {
    router: AnyTRPCRouter;
    path: string;
    calls: TrpcCalls;
    streamOptions: StreamOptions;
    onError: ErrorListener;
  },
): Promise<void> {
  const { method } = calls;
  // tRPC sends the headers of this stream before it runs the calls.
  if (acceptsLines(request.headers)) await calls.authenticateAll();
  const url = new URL('http://hangup/trpc');
  for (const [name, value] of calls.query) url.searchParams.set(name, value);
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  const resolved = await resolveResponse({
    req: new Request(url, {
      // Every other method is a 405. PUT represents them, because Request throws for some methods.
      method: method === 'GET' || method === 'POST' ? method : 'PUT',
      // The real content-type is checked with the body, after the check for 401.
      headers: { ...forwardedHeaders(request), 'content-type': 'application/json' },
      signal: closed.signal,
      ...(method === 'POST' && { body: lazyStream(() => calls.readBody()), duplex: 'half' }),
    }),
    path: encodeURIComponent(path),
    router,
    error: null,
    createContext: () => Promise.resolve<Context>({ requestOf: calls.requestOf.bind(calls) }),
    maxBatchSize: MAX_BATCH_SIZE,
    onError: ({ error }) => onError(error, request),
  });
  const isSubscription = resolved.headers.get('content-type') === 'text/event-stream';
  const allow = resolved.headers.get('allow');
  if (isSubscription && allow !== null) {
    // tRPC would send the error as the message of a stream.
    await resolved.body?.cancel();
    const error = new TRPCError({ code: 'METHOD_NOT_SUPPORTED' });
    const body = { error: errorShape(error, { procedure: path, type: 'subscription' }) };
    sendJson(request, response, 405, body, { allow: `${allow}, HEAD` });
  } else if (isSubscription) await sendSubscription(request, response, resolved, streamOptions);
  else await send(request, response, resolved);
}

/**
 * Sends a subscription. A shutdown ends the response without tRPC's last message, after which the client would not connect
 * again.
 */
async function sendSubscription(
  request: HttpRequest,
  response: ServerResponse,
  { status, body }: Response,
  options: StreamOptions,
): Promise<void> {
  response.writeHead(status, [...commonHeaders(request), ...STREAM_HEADERS]);
  if (request.method === 'HEAD' || body === null) {
    await body?.cancel();
    response.end();
    return;
  }
  await sendStream(response, options, {
    open: async function* (signal) {
      const reader = body.getReader();
      const cancel = () => void reader.cancel();
      signal.addEventListener('abort', cancel);
      if (signal.aborted) cancel();
      for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
    },
  });
}

/** Returns the headers that choose the format of the response, and the position of a subscription. */
function forwardedHeaders({ headers }: IncomingMessage): Record<string, string> {
  const accepted = ['accept', 'trpc-accept', 'last-event-id'].map((name) => [name, headers[name]] as const);
  return Object.fromEntries(
    accepted.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}

/** Returns a stream that reads the body only when tRPC needs it. */
function lazyStream(read: () => Promise<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const bytes = await read();
        if (bytes.length > 0) controller.enqueue(bytes);
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

async function send(request: HttpRequest, response: ServerResponse, resolved: Response): Promise<void> {
  const { 'content-type': type = 'application/json', ...headers } = Object.fromEntries(resolved.headers);
  const allow = headers['allow'];
  if (allow?.includes('GET')) headers['allow'] = `${allow}, HEAD`;
  const isStream = resolved.headers.has('transfer-encoding');
  // tRPC sends its error for a complete batch as text/plain, but the body is JSON.
  const contentType = type.startsWith('text/plain') ? 'application/json' : type;
  if (isStream && request.method === 'HEAD') delete headers['transfer-encoding'];
  if (isStream && resolved.body !== null && request.method !== 'HEAD') {
    const fields = [
      ...commonHeaders(request),
      'content-type',
      contentType,
      ...Object.entries(headers).flat(),
    ];
    response.writeHead(resolved.status, fields);
    await pipeline(Readable.fromWeb(resolved.body), response).catch((error: unknown) => {
      if (!response.destroyed) throw error;
    });
  } else sendText(request, response, resolved.status, await resolved.text(), contentType, headers);
}
