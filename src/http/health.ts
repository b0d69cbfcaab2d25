import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkReadiness } from '../operations/check-readiness.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { sendError, sendJson, sendText } from './answer.ts';

/** Anybody may ask, and each answer costs a commit: so no more often than this. */
const READINESS_HOLDS_MS = 1_000;

/** What is watched from outside, besides the store. */
export interface Watched {
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** Null when LiveKit was not asked yet. */
  doesLivekitAnswer(): boolean | null;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** What watches hangup asks here, without a key: whether it lives, whether it can work, what it counted. */
export function createHealthHandlers({
  dependencies,
  watched,
  isStopping,
}: {
  dependencies: Pick<Dependencies, 'store' | 'log'>;
  watched: Watched;
  isStopping: () => boolean;
}): ReadonlyMap<string, Handler> {
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
      const answers = watched.doesLivekitAnswer();
      sendJson(request, response, 200, {
        data: {
          status: 'ready',
          checks: { store: 'ok', migrations: 'ok' },
          // Shown and not judged: without LiveKit a cancel is taken all the same.
          livekit: answers === null ? 'not asked yet' : answers ? 'answers' : 'does not answer',
        },
      });
    },

    async '/metrics'(request, response) {
      const { contentType, body } = await watched.scrape();
      sendText(request, response, 200, body, { 'content-type': contentType });
    },
  };
  return new Map(Object.entries(handlers).map(([path, handle]) => [path, onlyGet(handle)]));
}

function onlyGet(handle: Handler): Handler {
  return async (request, response) => {
    if (request.method === 'GET' || request.method === 'HEAD') return handle(request, response);
    sendError(request, response, { code: 405, message: 'Method not allowed' }, { allow: 'GET, HEAD' });
  };
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
