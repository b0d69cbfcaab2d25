import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { publicError } from '../api/errors.ts';
import { appRouter } from '../api/router.ts';
import type { Context } from '../api/trpc.ts';
import { authenticate } from '../operations/api-keys/authenticate.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import type { WebhookParser } from '../ports/livekit.ts';
import type { Logger } from '../ports/system.ts';
import { presentedKey, remoteAddresses } from './credentials.ts';
import { createHealthHandlers, onlyGet, type Watched } from './health.ts';
import { createWebhookHandler, type WebhookNote } from './livekit-webhook.ts';
import { openApiDocument } from './openapi.ts';
import { answerProtocolErrors, protocolError, sendProtocolError } from './protocol-errors.ts';
import { sendError, sendJson } from './response.ts';
import { createRestHandler } from './rest.ts';
import { createTrpcHandler } from './trpc.ts';

/** Whoever asks, also without a key, may send 16 KB of it. */
const MAX_LOGGED_PATH = 200;

interface Request extends IncomingMessage {
  /** For the log: who asked. */
  keyId?: string;
  /** For the log: it has no valid key where it needs one. */
  isRefused?: boolean;
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
  keepAliveTimeoutMs,
  trustedProxies,
  log,
  version,
}: {
  dependencies: Dependencies;
  readWebhook: WebhookParser;
  watched: Watched;
  isStopping: () => boolean;
  keepAliveTimeoutMs: number;
  /** Addresses and CIDR ranges. */
  trustedProxies: readonly string[];
  log: Logger;
  version: string;
}): HttpServer {
  const requestIds = new WeakMap<IncomingMessage, string>();
  const inHand = new Set<Promise<void>>();
  const unanswered = new Set<ServerResponse>();
  const onFault = (error: unknown, request: IncomingMessage) => {
    log.error({ err: error, requestId: requestIds.get(request) }, 'request failed');
  };
  const rest = createRestHandler({ router: appRouter, basePath: '/api/v1', onFault });
  const trpc = createTrpcHandler({ router: appRouter, onFault });
  const remoteAddress = remoteAddresses(trustedProxies);

  const webhook = createWebhookHandler({ dependencies, read: readWebhook, isStopping, onFault });
  const health = createHealthHandlers({ dependencies, watched, isStopping });
  // Made when it is first requested: at each start it would take as long as opening the database.
  let openApi: ReturnType<typeof openApiDocument> | undefined;
  const document = onlyGet(async (request, response) => {
    openApi ??= openApiDocument(appRouter, version);
    sendJson(request, response, 200, openApi);
  });

  function contextFor(request: Request): Context {
    let key: ReturnType<Context['authenticate']> | undefined;
    const lookUp = async () => {
      const apiKey = await authenticate(dependencies, presentedKey(request));
      if (apiKey === null) request.isRefused = true;
      else request.keyId = apiKey.id;
      return apiKey;
    };
    return {
      dependencies,
      pathInput: null,
      refusalOf: () => null,
      authenticate: () => {
        key ??= lookUp();
        return key;
      },
    };
  }

  async function handle(request: Request, response: ServerResponse): Promise<void> {
    const error = protocolError(request);
    if (error !== null) {
      sendProtocolError(request, response, error);
      return;
    }
    const [pathname = '/', search = ''] = splitUrl(request.url ?? '/');
    if (pathname.startsWith('/trpc/')) {
      const path = pathname.slice('/trpc/'.length);
      await trpc(request, response, { path, search }, contextFor(request));
    } else if (pathname === '/webhooks/livekit') {
      request.webhook = await webhook(request, response);
      dependencies.metrics.webhook(request.webhook);
    } else if (pathname === '/openapi.json') {
      await document(request, response, search);
    } else {
      const watch = health.get(pathname);
      if (watch !== undefined) await watch(request, response, search);
      else await rest(request, response, { pathname, search }, contextFor(request));
    }
  }

  function onRequest(request: Request, response: ServerResponse): void {
    const startedAt = performance.now();
    const requestId = dependencies.random.id('req');
    requestIds.set(request, requestId);
    response.setHeader('x-request-id', requestId);
    // A shared cache in front would give one organization's answer to another.
    response.setHeader('cache-control', 'no-store');
    // Now: a closed socket has none.
    const address = remoteAddress(request);
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
          ...((request.isRefused || response.statusCode === 401) && { remoteAddress: address }),
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
    // Longer than a load balancer's, which else sends into a connection that is closed just then. The timeouts above
    // begin with a request, so an idle connection outlives them.
    keepAliveTimeout: keepAliveTimeoutMs,
    // Node's own answer has no body.
    requireHostHeader: false,
  });
  server.on('request', onRequest);
  answerProtocolErrors(server, onRequest);
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
