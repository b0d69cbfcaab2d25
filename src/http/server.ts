import { createServer, type Server, type ServerResponse } from 'node:http';
import { publicError } from '../api/errors.ts';
import { createAddressResolver } from './credentials.ts';
import { createMounts, findMount, type MountOptions } from './mounts.ts';
import { protocolError, respondToProtocolErrors, sendProtocolError } from './protocol-errors.ts';
import { type HttpRequest, splitTarget } from './request.ts';
import { sendError } from './response.ts';

/** A request without an API key can have a path of 16 KiB. */
const MAX_LOGGED_PATH_LENGTH = 200;

export interface HttpServer {
  /** The caller makes the server listen. */
  readonly server: Server;
  /** Resolves when no request is in flight. A request can outlast its connection. */
  whenIdle(): Promise<void>;
}

/**
 * Creates the HTTP server. After `draining` is aborted, each response closes its connection.
 * @param trustedProxies addresses and CIDR ranges
 */
export function createHttpServer({
  keepAliveTimeoutMs,
  trustedProxies,
  ...options
}: MountOptions & {
  readonly keepAliveTimeoutMs: number;
  readonly trustedProxies: readonly string[];
}): HttpServer {
  const { draining } = options;
  const { log, random } = options.dependencies;
  const inFlight = new Set<Promise<void>>();
  const openResponses = new Set<ServerResponse>();
  const onError = (error: unknown, request: HttpRequest) => {
    log.error({ err: error, requestId: request.requestId }, 'request failed');
  };
  const mounts = createMounts(options, onError);
  const remoteAddress = createAddressResolver(trustedProxies);

  async function handle(request: HttpRequest, response: ServerResponse): Promise<void> {
    const error = protocolError(request);
    if (error !== null) {
      sendProtocolError(request, response, error);
      return;
    }
    const [pathname, search] = splitTarget(request.url ?? '');
    const mount = findMount(mounts, pathname);
    await mount.handle(request, response, { path: pathname.slice(mount.path.length), search });
  }

  function onRequest(request: HttpRequest, response: ServerResponse): void {
    const startedAt = performance.now();
    const requestId = random.id('req');
    request.requestId = requestId;
    response.setHeader('x-request-id', requestId);
    // A shared cache would send one organization's response to another.
    response.setHeader('cache-control', 'no-store');
    // Read now, because a closed socket has no address.
    const address = remoteAddress(request);
    if (draining.aborted) closeAfterResponse(response);
    openResponses.add(response);
    response.once('close', () => {
      openResponses.delete(response);
      // Without the query string, which can contain phone numbers.
      const [path] = splitTarget(request.url ?? '');
      const isSuccess = response.writableFinished && response.statusCode === 200;
      if (isSuccess && findMount(mounts, path).isPolled) return;
      log.info(
        {
          requestId,
          method: request.method,
          path: path.slice(0, MAX_LOGGED_PATH_LENGTH),
          status: response.headersSent ? response.statusCode : null,
          durationMs: Math.round(performance.now() - startedAt),
          ...(request.keyId !== undefined && { keyId: request.keyId }),
          ...((request.isUnauthenticated || response.statusCode === 401) && { remoteAddress: address }),
          ...request.webhook,
          ...(!response.writableFinished && { disconnected: true }),
        },
        'request',
      );
    });
    const handled = handle(request, response)
      .catch((error: unknown) => {
        onError(error, request);
        if (response.headersSent) response.destroy();
        else sendError(request, response, publicError(error));
      })
      .finally(() => inFlight.delete(handled));
    inFlight.add(handled);
  }

  const server = createServer({
    // Close half-open and slow connections early, so that they do not accumulate.
    headersTimeout: 5_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 16 * 1024,
    // Longer than a load balancer's, which would otherwise send a request into a connection that closes at that moment.
    // The timeouts above start with a request, so they do not close an idle connection.
    keepAliveTimeout: keepAliveTimeoutMs,
    // Node's own response to a missing Host header has no body.
    requireHostHeader: false,
  });
  server.on('request', onRequest);
  respondToProtocolErrors(server, onRequest);
  draining.addEventListener('abort', () => {
    for (const response of openResponses) closeAfterResponse(response);
  });
  return {
    server,
    async whenIdle() {
      await Promise.all(inFlight);
    },
  };
}

/** Announces the close of a connection, so that the client sends its next request over another connection. */
function closeAfterResponse(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
}
