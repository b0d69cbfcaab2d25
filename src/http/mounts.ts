import { NOT_FOUND, publicError } from '../api/errors.ts';
import { appRouter } from '../api/router.ts';
import type { ServerDependencies } from '../operations/dependencies.ts';
import type { WebhookParser } from '../ports/livekit.ts';
import { allowGet, createHealthHandlers, type HealthSources } from './health.ts';
import { createWebhookHandler } from './livekit-webhook.ts';
import { openApiDocument } from './openapi.ts';
import type { RateLimits } from './rate-limits.ts';
import { createReferenceMounts } from './reference/mounts.ts';
import type { ErrorListener, Handler } from './request.ts';

import { sendError, sendJson } from './response.ts';
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
const FALLBACK: Mount = {
  path: '',
  handle: async (request, response) => sendError(request, response, NOT_FOUND),
};

export interface MountOptions {
  readonly dependencies: ServerDependencies;
  readonly parseWebhook: WebhookParser;
  readonly healthSources: HealthSources;
  readonly limits: RateLimits;
  /** Aborted when the server shuts down. */
  readonly draining: AbortSignal;
  readonly version: string;
  /** Returns Redoc's script, for the API reference. */
  readonly readRedoc: () => string;
}

/** Returns the handlers of REST, tRPC, LiveKit's webhooks, the API reference and health, with their paths. */
export function createMounts(options: MountOptions, onError: ErrorListener): readonly Mount[] {
  const { dependencies, parseWebhook, healthSources, limits, draining, version, readRedoc } = options;
  const rest = createRestHandler({ router: appRouter, dependencies, limits, draining, onError });
  const trpc = createTrpcHandler({ router: appRouter, dependencies, limits, draining, onError });
  const webhook = createWebhookHandler({ dependencies, parse: parseWebhook, limits, draining, onError });
  const health = createHealthHandlers({ dependencies, sources: healthSources, draining });
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
    ...createReferenceMounts(readRedoc),
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
