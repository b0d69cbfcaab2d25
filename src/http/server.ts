import { createServer, type Server, type ServerResponse } from 'node:http';
import { publicError } from '../api/errors.ts';
import { createCors, isAllowedPreflight, sendPreflight } from './cors.ts';
import { createAddressResolver, createSchemeResolver } from './credentials.ts';
import { createMounts, findMount, type Mount, type MountOptions } from './mounts.ts';
import { protocolError, respondToProtocolErrors, sendProtocolError } from './protocol-errors.ts';
import { createRateLimits, type RateLimitOptions } from './rate-limits.ts';
import { HttpRequest, splitTarget } from './request.ts';
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
 * Creates the HTTP server. After `stopping` is aborted, each response closes its connection.
 * @param trustedProxies addresses and CIDR ranges
 * @param corsOrigins exact origins; or `*`, every origin
 */
export function createHttpServer({
  keepAliveTimeoutMs,
  trustedProxies,
  corsOrigins,
  rateLimits,
  ...options
}: Omit<MountOptions, 'limits' | 'isSecure'> & {
  readonly keepAliveTimeoutMs: number;
  readonly trustedProxies: readonly string[];
  readonly corsOrigins: readonly string[];
  readonly rateLimits: Pick<RateLimitOptions, 'quotas' | 'limiters'>;
}): HttpServer {
  const { stopping } = options;
  const { log, random, metrics } = options.dependencies;
  const openResponses = new Set<ServerResponse>();
  let inFlight = 0;
  let idle = Promise.withResolvers<void>();
  const onError = (error: unknown, request: HttpRequest) => {
    log.error({ err: error, requestId: request.requestId }, 'request failed');
  };
  const resolveAddress = createAddressResolver(trustedProxies);
  const limits = createRateLimits({ ...rateLimits, resolveAddress, metrics });
  const usesHttps = createSchemeResolver(trustedProxies);
  const isSecure = ({ peerAddress, headers }: HttpRequest) => usesHttps(peerAddress, headers);
  const mounts = createMounts({ ...options, limits, isSecure }, onError);
  const corsHeadersFor = createCors(corsOrigins);

  function onRequest(request: HttpRequest, response: ServerResponse): void {
    const startedAt = performance.now();
    request.requestId = random.id('req');
    request.peerAddress = request.socket.remoteAddress;
    const [path, search] = splitTarget(request.url ?? '');
    const mount = findMount(mounts, path);
    if (mount.isCrossOrigin) request.corsHeaders = corsHeadersFor(request.headers.origin);
    if (stopping.aborted) closeAfterResponse(response);
    openResponses.add(response);
    response.on('close', () => {
      openResponses.delete(response);
      const isComplete = response.writableFinished;
      if (mount.isPolled && isComplete && response.statusCode === 200) return;
      const { requestId, method, keyId, webhook } = request;
      const fields: Record<string, unknown> = {
        requestId,
        method,
        // Without the query string, which can contain phone numbers.
        path: path.slice(0, MAX_LOGGED_PATH_LENGTH),
        status: response.headersSent ? response.statusCode : null,
        durationMs: Math.round(performance.now() - startedAt),
      };
      if (keyId !== null) fields['keyId'] = keyId;
      if (request.isUnauthenticated) {
        fields['remoteAddress'] = resolveAddress(request.peerAddress, request.headers);
      }
      if (webhook !== null) Object.assign(fields, webhook);
      if (!isComplete) fields['disconnected'] = true;
      log.info(fields, 'request');
    });
    void handle(request, response, { mount, path, search });
  }

  /** Never rejects. */
  async function handle(
    request: HttpRequest,
    response: ServerResponse,
    { mount, path, search }: { mount: Mount; path: string; search: string },
  ): Promise<void> {
    if (inFlight === 0) idle = Promise.withResolvers();
    inFlight += 1;
    try {
      const error = protocolError(request);
      if (error !== null) sendProtocolError(request, response, error);
      else if (isAllowedPreflight(request)) sendPreflight(request, response);
      else await mount.handle(request, response, { path: path.slice(mount.path.length), search });
    } catch (error) {
      onError(error, request);
      if (response.headersSent) response.destroy();
      else sendError(request, response, publicError(error));
    } finally {
      inFlight -= 1;
      if (inFlight === 0) idle.resolve();
    }
  }

  const server = createServer({
    IncomingMessage: HttpRequest,
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
  stopping.addEventListener('abort', () => {
    for (const response of openResponses) closeAfterResponse(response);
  });
  return {
    server,
    async whenIdle() {
      if (inFlight > 0) await idle.promise;
    },
  };
}

/** Announces the close of a connection, so that the client sends its next request over another connection. */
function closeAfterResponse(response: ServerResponse): void {
  if (!response.headersSent) response.shouldKeepAlive = false;
}
