import { publicError } from '../api/errors.ts';
import { appRouter } from '../api/router.ts';
import type { ServerDependencies } from '../operations/dependencies.ts';
import type { WebhookParser } from '../ports/livekit.ts';
import { authenticateRequest } from './authenticate-request.ts';
import { type ConsoleFiles, createConsoleFileMounts } from './console/files.ts';
import { createConsoleMounts } from './console/mounts.ts';
import { allowGet, createHealthHandlers, type HealthSources } from './health.ts';
import { createWebhookHandler } from './livekit-webhook.ts';
import { openApiDocument } from './openapi.ts';
import type { RateLimits } from './rate-limits.ts';
import { createReferenceMounts } from './reference/mounts.ts';
import type { ErrorListener, Handler, HttpRequest } from './request.ts';
import { sendError, sendJson, sendNotFound } from './response.ts';
import { createRestHandler } from './rest.ts';
import { createTrpcHandler } from './trpc.ts';

export interface Mount {
  /** A path that ends with `/` includes every path below it. */
  readonly path: string;
  readonly handle: Handler;
  /** True for endpoints that monitoring polls: their successful requests are not logged. */
  readonly isPolled?: boolean;
  /** True for endpoints that pages of the origins in CORS_ORIGINS may use. */
  readonly isCrossOrigin?: boolean;
}

/** Serves every path without a mount. */
const FALLBACK: Mount = { path: '', handle: sendNotFound };

export interface MountOptions {
  readonly dependencies: ServerDependencies;
  readonly parseWebhook: WebhookParser;
  readonly healthSources: HealthSources;
  readonly limits: RateLimits;
  /** The same in all processes of a fleet: sessions of the console are signed with a key that is derived from it. */
  readonly sessionSecret: string;
  /** Whether the browser of a request uses https. */
  readonly isSecure: (request: HttpRequest) => boolean;
  /** Aborted when the server is about to shut down. It still serves all requests. */
  readonly stopping: AbortSignal;
  /** Aborted when the server shuts down. */
  readonly draining: AbortSignal;
  readonly version: string;
  /** Returns Redoc's script, for the API reference. */
  readonly readRedoc: () => string;
  /** Returns the files of the console; null if it is not built. */
  readonly readConsole: () => ConsoleFiles | null;
}

/** Returns the handlers of REST, tRPC, LiveKit's webhooks, the API reference, the console and health, with their paths. */
export function createMounts(options: MountOptions, onError: ErrorListener): readonly Mount[] {
  const { dependencies, parseWebhook, healthSources, limits, version, readRedoc, readConsole } = options;
  const { stopping, draining } = options;
  const rest = createRestHandler({ router: appRouter, dependencies, limits, draining, onError });
  const trpc = createTrpcHandler({
    router: appRouter,
    dependencies,
    authenticate: (request) => authenticateRequest(dependencies, request),
    limits,
    draining,
    onError,
  });
  const webhook = createWebhookHandler({ dependencies, parse: parseWebhook, limits, draining, onError });
  const health = createHealthHandlers({ dependencies, sources: healthSources, stopping });
  // Built at the first request: at each start it would take as long as opening the database.
  let openApi: ReturnType<typeof openApiDocument> | undefined;
  const serveOpenApi = allowGet(async (request, response) => {
    try {
      await limits.countAnonymous(request);
    } catch (error) {
      sendError(request, response, publicError(error));
      return;
    }
    openApi ??= openApiDocument(appRouter, version);
    sendJson(request, response, 200, openApi);
  });

  return [
    { path: '/api/v1/', handle: rest, isCrossOrigin: true },
    { path: '/trpc/', handle: trpc, isCrossOrigin: true },
    {
      path: '/webhooks/livekit',
      handle: async (request, response) => {
        request.webhook = await webhook(request, response);
        dependencies.metrics.webhook(request.webhook);
      },
    },
    { path: '/openapi.json', handle: serveOpenApi, isCrossOrigin: true },
    ...createConsoleMounts(options, onError),
    ...createReferenceMounts(readRedoc),
    ...createConsoleFileMounts(readConsole),
    ...Object.entries(health).map(([path, handle]) => ({ path, handle, isPolled: true })),
  ];
}

/** Returns the mount of a path; for an unknown path, a mount that sends 404. */
export function findMount(mounts: readonly Mount[], pathname: string): Mount {
  for (const mount of mounts) {
    const { path } = mount;
    if (path.endsWith('/') ? pathname.startsWith(path) : pathname === path) return mount;
  }
  return FALLBACK;
}
