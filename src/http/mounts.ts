import { NOT_FOUND } from '../api/errors.ts';
import { appRouter } from '../api/router.ts';
import type { Context } from '../api/trpc.ts';
import { authenticate } from '../operations/api-keys/authenticate.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import type { WebhookParser } from '../ports/livekit.ts';
import { readApiKey } from './credentials.ts';
import { allowGet, createHealthHandlers, type HealthSources } from './health.ts';
import { createWebhookHandler } from './livekit-webhook.ts';
import { openApiDocument } from './openapi.ts';
import type { ErrorListener, Handler, HttpRequest } from './request.ts';
import { sendError, sendJson } from './response.ts';
import { createRestHandler } from './rest.ts';
import { createTrpcHandler } from './trpc.ts';

export interface Mount {
  /** A path that ends with `/` includes every path below it. */
  readonly path: string;
  readonly handle: Handler;
  /** True for endpoints that monitoring polls: their successful requests are not logged. */
  readonly isPolled?: boolean;
}

/** Serves every path without a mount. */
const FALLBACK: Mount = {
  path: '',
  handle: async (request, response) => sendError(request, response, NOT_FOUND),
};

export interface MountOptions {
  readonly dependencies: Dependencies;
  readonly parseWebhook: WebhookParser;
  readonly healthSources: HealthSources;
  /** Aborted when the server shuts down. */
  readonly draining: AbortSignal;
  readonly version: string;
}

/** Returns the handlers of REST, tRPC, LiveKit's webhooks, the OpenAPI document and health, with their paths. */
export function createMounts(options: MountOptions, onError: ErrorListener): readonly Mount[] {
  const { dependencies, parseWebhook, healthSources, draining, version } = options;
  const rest = createRestHandler({ router: appRouter, onError });
  const trpc = createTrpcHandler({ router: appRouter, onError });
  const webhook = createWebhookHandler({ dependencies, parse: parseWebhook, draining, onError });
  const health = createHealthHandlers({ dependencies, sources: healthSources, draining });
  // Built at the first request: at each start it would take as long as opening the database.
  let openApi: ReturnType<typeof openApiDocument> | undefined;
  const serveOpenApi = allowGet(async (request, response) => {
    openApi ??= openApiDocument(appRouter, version);
    sendJson(request, response, 200, openApi);
  });

  return [
    {
      path: '/api/v1/',
      handle: (request, response, target) =>
        rest(request, response, target, createContext(request, dependencies)),
    },
    {
      path: '/trpc/',
      handle: (request, response, target) =>
        trpc(request, response, target, createContext(request, dependencies)),
    },
    {
      path: '/webhooks/livekit',
      handle: async (request, response) => {
        request.webhook = await webhook(request, response);
        dependencies.metrics.webhook(request.webhook);
      },
    },
    { path: '/openapi.json', handle: serveOpenApi },
    ...Object.entries(health).map(([path, handle]) => ({ path, handle, isPolled: true })),
  ];
}

/** Returns the mount of a path; for an unknown path, a mount that sends 404. */
export function findMount(mounts: readonly Mount[], pathname: string): Mount {
  const found = mounts.find(({ path }) =>
    path.endsWith('/') ? pathname.startsWith(path) : pathname === path,
  );
  return found ?? FALLBACK;
}

function createContext(request: HttpRequest, dependencies: Dependencies): Context {
  const authenticateRequest = async () => {
    const apiKey = await authenticate(dependencies, readApiKey(request));
    if (apiKey === null) request.isUnauthenticated = true;
    else request.keyId = apiKey.id;
    return apiKey;
  };
  let apiKey: ReturnType<Context['authenticate']> | undefined;
  return {
    dependencies,
    pathInput: null,
    inputErrorOf: () => null,
    authenticate: () => {
      apiKey ??= authenticateRequest();
      return apiKey;
    },
  };
}
