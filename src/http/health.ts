import { badRequest, METHOD_NOT_ALLOWED, publicError, unrecognizedKeys } from '../api/errors.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { checkReadiness } from '../operations/health/check-readiness.ts';
import type { ConnectionCounts } from '../ports/diagnostics.ts';
import { assertNoBody } from './body.ts';
import { splitQuery } from './query.ts';
import type { Handler, HttpRequest } from './request.ts';
import { sendError, sendJson, sendText } from './response.ts';

/** Each check writes to the database, and anybody can request /readyz. */
const READINESS_CACHE_MS = 1_000;

/** Sources of the health endpoints besides the store. */
export interface HealthSources {
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** Null until LiveKit has responded once. */
  isLiveKitUp(): boolean | null;
  /** Null with SQLite. */
  countConnections(): ConnectionCounts | null;
}

/** Returns the handlers of /healthz, /readyz and /metrics. They need no API key. */
export function createHealthHandlers({
  dependencies,
  sources,
  stopping,
}: {
  dependencies: Pick<Dependencies, 'store' | 'log'>;
  sources: HealthSources;
  stopping: AbortSignal;
}): Readonly<Record<string, Handler>> {
  const readiness = cacheFor(READINESS_CACHE_MS, () => checkReadiness(dependencies));
  // A load balancer may append a query to the URL of a probe.
  const allowQuery = true;

  return {
    '/healthz': allowGet(
      async (request, response) => {
        sendJson(request, response, 200, { data: { status: 'alive' } });
      },
      { allowQuery },
    ),

    '/readyz': allowGet(
      async (request, response) => {
        const notReady = (reason: string) =>
          sendError(request, response, { code: 503, message: `Not ready: ${reason}` });
        if (stopping.aborted) return notReady('stopping');
        const { failed } = await readiness();
        if (failed.length > 0) return notReady(failed.join(', '));
        const isUp = sources.isLiveKitUp();
        const connections = sources.countConnections();
        sendJson(request, response, 200, {
          data: {
            status: 'ready',
            checks: { store: 'ok', migrations: 'ok' },
            // Not a check: hangup stores cancels also while LiveKit is unreachable.
            livekit: isUp === null ? 'no answer yet' : isUp ? 'answers' : 'does not answer',
            ...(connections && { connections }),
          },
        });
      },
      { allowQuery },
    ),

    '/metrics': allowGet(async (request, response) => {
      const { contentType, body } = await sources.scrape();
      sendText(request, response, 200, body, contentType);
    }),
  };
}

/** Returns a handler of GET and HEAD that rejects bodies and queries, unless `allowQuery` is set. */
export function allowGet(handle: Handler, { allowQuery = false } = {}): Handler {
  return async (request, response, target) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendError(request, response, METHOD_NOT_ALLOWED, { allow: 'GET, HEAD' });
      return;
    }
    try {
      if (!allowQuery) assertNoInput(request, target.search);
    } catch (error) {
      sendError(request, response, publicError(error));
      return;
    }
    await handle(request, response, target);
  };
}

/** Asserts that a request has no query and no body. @throws TRPCError 400 */
function assertNoInput(request: HttpRequest, search: string): void {
  const names = splitQuery(search).map(({ name }) => name);
  if (names.length > 0) throw badRequest(unrecognizedKeys(names));
  assertNoBody(request);
}

/** Returns a function that shares one pending result, and returns this result until `durationMs` after it settled. */
function cacheFor<T>(durationMs: number, load: () => Promise<T>): () => Promise<T> {
  let cached: { result: Promise<T>; until: number } | null = null;
  return () => {
    if (cached !== null && performance.now() < cached.until) return cached.result;
    const entry = { result: load(), until: Number.POSITIVE_INFINITY };
    cached = entry;
    void entry.result.finally(() => {
      entry.until = performance.now() + durationMs;
    });
    return entry.result;
  };
}
