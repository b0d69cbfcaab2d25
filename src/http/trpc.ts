import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { AnyTRPCRouter } from '@trpc/server';
import { resolveResponse } from '@trpc/server/http';
import { publicError } from '../api/errors.ts';
import { type Context, MAX_BATCH_SIZE } from '../api/trpc.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import type { ErrorListener, Handler, HttpRequest } from './request.ts';
import { commonHeaders, sendText } from './response.ts';
import { collectRoutes } from './routes.ts';
import { TrpcCalls } from './trpc-calls.ts';
import { findDirectRoutes, respondDirectly } from './trpc-direct.ts';

/**
 * Creates the handler of tRPC requests. Answers the requests of tRPC's standard links itself, because tRPC's own handler
 * takes several times as long as the procedure. All other requests, such as streams and requests for unknown procedures,
 * go to tRPC's handler.
 */
export function createTrpcHandler({
  router,
  dependencies,
  onError,
}: {
  router: AnyTRPCRouter;
  dependencies: Dependencies;
  onError: ErrorListener;
}): Handler {
  const routes = new Map(collectRoutes(router).map((route) => [route.procedure, route]));
  const report = (error: unknown, request: HttpRequest) => {
    if (publicError(error).code >= 500) onError(error, request);
  };

  return async (request, response, { path: encodedPath, search }) => {
    // Batches join paths with commas, which some proxies encode. Other encoded characters stay encoded.
    const path = encodedPath.includes('%') ? encodedPath.replaceAll(/%2C/gi, ',') : encodedPath;
    const maxBodyBytesOf = (procedure: string) => routes.get(procedure)?.rest.maxBodyBytes;
    const calls = new TrpcCalls(dependencies, { request, response, path, search, maxBodyBytesOf });
    const direct = findDirectRoutes(routes, request, calls);
    if (direct === null)
      await respondThroughTrpc(request, response, { router, path, calls, onError: report });
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
    onError,
  }: { router: AnyTRPCRouter; path: string; calls: TrpcCalls; onError: ErrorListener },
): Promise<void> {
  const { method } = calls;
  const url = new URL('http://hangup/trpc');
  for (const [name, value] of calls.query) url.searchParams.set(name, value);
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  const resolved = await resolveResponse({
    req: new Request(url, {
      // Every other method is a 405. PUT represents them, because Request throws for some methods.
      method: method === 'GET' || method === 'POST' ? method : 'PUT',
      // The real content-type is checked with the body, after the check for 401.
      headers: { ...acceptHeaders(request), 'content-type': 'application/json' },
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
  await send(request, response, resolved);
}

/** Returns the headers that choose the format of the response. */
function acceptHeaders({ headers }: IncomingMessage): Record<string, string> {
  const accepted = ['accept', 'trpc-accept'].map((name) => [name, headers[name]] as const);
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
