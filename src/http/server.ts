import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http';
import { publicError } from '../api/errors.ts';
import { appRouter } from '../api/router.ts';
import type { Context } from '../api/trpc.ts';
import type { Log, WebhookReader } from '../domain/ports.ts';
import { authenticate } from '../operations/authenticate.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { errorBody, RETRY_SOON, sendError, sendJson } from './answer.ts';
import { MAX_BODY_BYTES } from './body.ts';
import { createHealthHandlers, type Watched } from './health.ts';
import { createWebhookHandler, type WebhookNote } from './livekit-webhook.ts';
import { openApiDocument } from './openapi.ts';
import { createRestHandler } from './rest.ts';

const MAX_TRPC_BATCH = 10;
/** Whoever asks, also without a key, may send 16 KB of it. */
const MAX_LOGGED_PATH = 200;

interface Request extends IncomingMessage {
  /** For the log: who asked. */
  keyId?: string;
  /** For the log: what LiveKit said. */
  webhook?: WebhookNote;
}

export interface HttpServer {
  /** It does not listen yet. */
  readonly server: Server;
  /** Tells who waits for an answer that it is the last one on its connection. */
  sayLast(): void;
  /** Resolves when no request is worked on: a client may be gone long before. */
  atRest(): Promise<void>;
}

/** REST under /api/v1, tRPC under /trpc, LiveKit's webhooks, health, the OpenAPI document. */
export function createHttpServer({
  dependencies,
  readWebhook,
  watched,
  isStopping,
  log,
  version,
}: {
  dependencies: Dependencies;
  readWebhook: WebhookReader;
  watched: Watched;
  isStopping: () => boolean;
  log: Log;
  version: string;
}): HttpServer {
  let document: ReturnType<typeof openApiDocument> | undefined;
  const requestIds = new WeakMap<IncomingMessage, string>();
  const inHand = new Set<Promise<void>>();
  const unanswered = new Set<ServerResponse>();
  const onFault = (error: unknown, request: IncomingMessage) => {
    log.error({ err: error, requestId: requestIds.get(request) }, 'request failed');
  };
  const rest = createRestHandler({ router: appRouter, basePath: '/api/v1', onFault });

  const webhook = createWebhookHandler({ dependencies, read: readWebhook, isStopping, onFault });
  const health = createHealthHandlers({ dependencies, watched, isStopping });

  function contextFor(request: Request): Context {
    let key: ReturnType<Context['authenticate']> | undefined;
    const lookUp = async () => {
      const apiKey = await authenticate(dependencies, presentedKey(request));
      if (apiKey !== null) request.keyId = apiKey.id;
      return apiKey;
    };
    return {
      dependencies,
      authenticate: () => {
        key ??= lookUp();
        return key;
      },
    };
  }

  async function handle(request: Request, response: ServerResponse): Promise<void> {
    const [pathname = '/', search = ''] = splitUrl(request.url ?? '/');
    if (pathname.startsWith('/trpc/')) {
      await nodeHTTPRequestHandler({
        req: request,
        res: response,
        path: pathname.slice('/trpc/'.length),
        router: appRouter,
        createContext: () => contextFor(request),
        responseMeta: ({ errors }) =>
          errors.some((error) => publicError(error).code === 503) ? { headers: RETRY_SOON } : {},
        maxBodySize: MAX_BODY_BYTES,
        maxBatchSize: MAX_TRPC_BATCH,
        onError: ({ error }) => {
          if (publicError(error).code >= 500) onFault(error, request);
        },
      });
    } else if (pathname === '/webhooks/livekit') {
      request.webhook = await webhook(request, response);
      dependencies.meters.webhook(request.webhook);
    } else if (pathname === '/openapi.json') {
      if (request.method === 'GET' || request.method === 'HEAD') {
        // Made when it is first asked for: at each start it would take as long as opening the database.
        document ??= openApiDocument(appRouter, version);
        sendJson(request, response, 200, document);
      } else
        sendError(request, response, { code: 405, message: 'Method not allowed' }, { allow: 'GET, HEAD' });
    } else {
      const watch = health.get(pathname);
      if (watch !== undefined) await watch(request, response);
      else await rest(request, response, { pathname, search }, contextFor(request));
    }
  }

  function onRequest(request: Request, response: ServerResponse): void {
    const startedAt = performance.now();
    const requestId = dependencies.random.id('req');
    requestIds.set(request, requestId);
    response.setHeader('x-request-id', requestId);
    if (isStopping()) closeBehind(response);
    unanswered.add(response);
    response.once('close', () => {
      unanswered.delete(response);
      // Without the query string, where phone numbers are.
      const [path] = splitUrl(request.url ?? '');
      // What watches asks every few seconds: only what it must not miss is said.
      if (health.has(path) && response.writableFinished && response.statusCode === 200) return;
      log.info(
        {
          requestId,
          method: request.method,
          path: path.slice(0, MAX_LOGGED_PATH),
          status: response.headersSent ? response.statusCode : null,
          durationMs: Math.round(performance.now() - startedAt),
          ...(request.keyId !== undefined && { keyId: request.keyId }),
          ...request.webhook,
          ...(!response.writableFinished && { disconnected: true }),
        },
        'request',
      );
    });
    const handled = handle(request, response)
      .catch((error: unknown) => {
        onFault(error, request);
        if (response.headersSent) response.destroy();
        else sendError(request, response, publicError(error));
      })
      .finally(() => inHand.delete(handled));
    inHand.add(handled);
  }

  const server = createServer({
    // Half-open and slow connections end here, and not in a pile.
    headersTimeout: 5_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 16 * 1024,
  });
  server.on('request', onRequest);
  // A body is asked for only once its request is let in.
  server.on('checkContinue', onRequest);
  server.on('clientError', answerClientError);
  return {
    server,
    sayLast() {
      for (const response of unanswered) closeBehind(response);
    },
    async atRest() {
      await Promise.all(inHand);
    },
  };
}

/** Else its client may send the next request into a connection that is closed just then. */
function closeBehind(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
}

/** Of `/path?query`, and of `http://host/path?query` too, which HTTP/1.1 has every server take. */
function splitUrl(target: string): [pathname: string, search: string] {
  const url = target.replace(/^https?:\/\/[^/?]*/i, '');
  const at = url.indexOf('?');
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)];
}

function presentedKey({ headers }: IncomingMessage): string | null {
  const own = headers['x-api-key'];
  if (typeof own === 'string') return own;
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? null;
}

/** What Node could not read as a request gets an answer in the contract's shape too. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [code, message] = clientError(error.code);
  const body = JSON.stringify(errorBody({ code, message }));
  socket.end(
    `HTTP/1.1 ${code} ${STATUS_CODES[code]}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function clientError(code: string | undefined): [code: number, message: string] {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return [431, 'Request header fields too large'];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [408, 'Request timeout'];
    default:
      return [400, 'Bad request'];
  }
}
