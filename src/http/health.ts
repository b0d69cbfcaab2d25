import type { IncomingMessage, ServerResponse } from 'node:http';
import { badRequest, publicError, unrecognized } from '../api/errors.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { checkReadiness } from '../operations/health/check-readiness.ts';
import { assertNoBody } from './body.ts';
import { splitQuery } from './query.ts';
import { sendError, sendJson, sendText } from './response.ts';

/** Anybody may ask, and each answer costs a commit: so no more often than this. */
const READINESS_HOLDS_MS = 1_000;

/** What is watched from outside, besides the store. */
export interface Watched {
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** Null while LiveKit has not answered a request yet. */
  isLiveKitUp(): boolean | null;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;
type OpenHandler = (request: IncomingMessage, response: ServerResponse, search: string) => Promise<void>;

/** A probe must not fail by what a load balancer appends to its URL. */
const ANY_QUERY: readonly string[] = ['/healthz', '/readyz'];

/** What watches hangup asks here, without a key: whether it lives, whether it can work, what it counted. */
export function createHealthHandlers({
  dependencies,
  watched,
  isStopping,
}: {
  dependencies: Pick<Dependencies, 'store' | 'log'>;
  watched: Watched;
  isStopping: () => boolean;
}): ReadonlyMap<string, OpenHandler> {
  const readiness = heldFor(READINESS_HOLDS_MS, () => checkReadiness(dependencies));

  const handlers: Record<string, Handler> = {
    async '/healthz'(request, response) {
      sendJson(request, response, 200, { data: { status: 'alive' } });
    },

    async '/readyz'(request, response) {
      const refuse = (what: string) =>
        sendError(request, response, { code: 503, message: `Not ready: ${what}` });
      if (isStopping()) return refuse('stopping');
      const { failed } = await readiness();
      if (failed.length > 0) return refuse(failed.join(', '));
      const isUp = watched.isLiveKitUp();
      sendJson(request, response, 200, {
        data: {
          status: 'ready',
          checks: { store: 'ok', migrations: 'ok' },
          // Shown and not judged: without LiveKit a cancel is taken all the same.
          livekit: isUp === null ? 'no answer yet' : isUp ? 'answers' : 'does not answer',
        },
      });
    },

    async '/metrics'(request, response) {
      const { contentType, body } = await watched.scrape();
      sendText(request, response, 200, body, { 'content-type': contentType });
    },
  };
  return new Map(
    Object.entries(handlers).map(([path, handle]) => [
      path,
      onlyGet(handle, { takesAnyQuery: ANY_QUERY.includes(path) }),
    ]),
  );
}

/** For a path that takes no input. */
export function onlyGet(handle: Handler, { takesAnyQuery = false } = {}): OpenHandler {
  return async (request, response, search) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendError(request, response, { code: 405, message: 'Method not allowed' }, { allow: 'GET, HEAD' });
      return;
    }
    try {
      if (!takesAnyQuery) assertNoInput(request, search);
    } catch (error) {
      sendError(request, response, publicError(error));
      return;
    }
    await handle(request, response);
  };
}

/** @throws TRPCError 400 */
function assertNoInput(request: IncomingMessage, search: string): void {
  const names = splitQuery(search).map(({ name }) => name);
  if (names.length > 0) throw badRequest(unrecognized(names));
  assertNoBody(request);
}

/** Who asks while the answer is being found, or shortly after, gets the same one. */
function heldFor<T>(holdsMs: number, find: () => Promise<T>): () => Promise<T> {
  let held: { answer: Promise<T>; until: number } | null = null;
  return () => {
    if (held !== null && performance.now() < held.until) return held.answer;
    const found = { answer: find(), until: Number.POSITIVE_INFINITY };
    held = found;
    void found.answer.finally(() => {
      found.until = performance.now() + holdsMs;
    });
    return found.answer;
  };
}
