import type { IncomingMessage, ServerResponse } from 'node:http';
import { publicError } from '../api/errors.ts';
import type { WebhookReader } from '../domain/ports.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { syncCall } from '../operations/sync-call.ts';
import { sendError, sendJson } from './answer.ts';
import { assertPlain, readBody } from './body.ts';

/** For the log: what came, and what became of it. */
export interface WebhookNote {
  readonly event: string | null;
  readonly outcome: string;
}

/**
 * LiveKit's door. LiveKit takes a 4xx for delivered and repeats a 5xx: so 200 only after the commit, 4xx only for
 * what will never be an event, and 503 for all that is our fault. Nothing but the store is waited for, because
 * LiveKit has no time-out and keeps a room's other events waiting.
 */
export function createWebhookHandler({
  dependencies,
  read,
  isStopping,
  onFault,
}: {
  dependencies: Dependencies;
  read: WebhookReader;
  isStopping: () => boolean;
  onFault: (error: unknown, request: IncomingMessage) => void;
}): (request: IncomingMessage, response: ServerResponse) => Promise<WebhookNote> {
  let hasSeenOne = false;

  return async (request, response) => {
    const refuse = (code: number, message: string, outcome: string, headers = {}): WebhookNote => {
      sendError(request, response, { code, message }, headers);
      return { event: null, outcome };
    };
    if (request.method !== 'POST') return refuse(405, 'Method not allowed', 'refused', { allow: 'POST' });
    if (isStopping()) return refuse(503, 'Shutting down', 'stopping', { connection: 'close' });
    const { authorization } = request.headers;
    if (!authorization) return refuse(401, 'Unauthorized', 'unsigned');
    let body: Buffer;
    try {
      assertPlain(request.headers);
      body = await readBody(request, response);
    } catch (error) {
      const { code, message } = publicError(error);
      return refuse(code, message, 'refused');
    }
    const webhook = await read(body, authorization);
    if (webhook.kind === 'unsigned') return refuse(401, 'Unauthorized', 'unsigned');
    if (webhook.kind === 'malformed') return refuse(400, `Malformed webhook: ${webhook.why}`, 'malformed');
    if (!hasSeenOne) {
      hasSeenOne = true;
      dependencies.log.info(
        { event: webhook.name.slice(0, 64) },
        "LiveKit's webhooks arrive: this is the first one",
      );
    }
    const event = webhook.name.slice(0, 64);
    let outcome = 'ignored';
    if (webhook.kind === 'event') {
      try {
        outcome = (await syncCall(dependencies, webhook.event)).kind;
      } catch (error) {
        onFault(error, request);
        return { ...refuse(503, 'Try again', 'failed'), event };
      }
    }
    sendJson(request, response, 200, { data: { outcome } });
    return { event, outcome };
  };
}
