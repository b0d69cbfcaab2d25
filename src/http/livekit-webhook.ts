import type { IncomingMessage, ServerResponse } from 'node:http';
import { publicError } from '../api/errors.ts';
import {
  REFUSAL_ADVICE,
  type RefusalReason,
  type RefusalTally,
  tallyRefusal,
  type WebhookRefusal,
} from '../domain/webhook-refusal.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { applyWebhookEvent } from '../operations/livekit/apply-webhook-event.ts';
import type { WebhookParser } from '../ports/livekit.ts';
import { assertPlain, readBody } from './body.ts';
import { sendError, sendJson } from './response.ts';

interface Outcome {
  readonly event: string | null;
  readonly outcome: string;
}

/** For the log: what came, and what became of it; of a webhook that was answered 401, why. */
export type WebhookNote = Outcome | (Outcome & WebhookRefusal);

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
  read: WebhookParser;
  isStopping: () => boolean;
  onFault: (error: unknown, request: IncomingMessage) => void;
}): (request: IncomingMessage, response: ServerResponse) => Promise<WebhookNote> {
  let hasSeenOne = false;
  const logRefusal = refusalLog(dependencies);

  return async (request, response) => {
    const refuse = (code: number, message: string, outcome: string, headers = {}): Outcome => {
      sendError(request, response, { code, message }, headers);
      return { event: null, outcome };
    };
    if (request.method !== 'POST') return refuse(405, 'Method not allowed', 'refused', { allow: 'POST' });
    if (isStopping()) return refuse(503, 'Shutting down', 'stopping', { connection: 'close' });
    let body: Buffer;
    try {
      assertPlain(request.headers);
      body = await readBody(request, response);
    } catch (error) {
      const { code, message } = publicError(error);
      return refuse(code, message, 'refused');
    }
    const webhook = await read(body, request.headers.authorization);
    if (webhook.kind === 'refused') {
      logRefusal(webhook.refusal);
      // The same answer for each reason: none helps to forge a webhook.
      return { ...refuse(401, 'Unauthorized', 'unauthorized'), ...webhook.refusal };
    }
    if (webhook.kind === 'malformed') return refuse(400, `Malformed webhook: ${webhook.reason}`, 'malformed');
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
        outcome = (await applyWebhookEvent(dependencies, webhook.event)).kind;
      } catch (error) {
        onFault(error, request);
        return { ...refuse(503, 'Try again', 'failed'), event };
      }
    }
    sendJson(request, response, 200, { data: { outcome } });
    return { event, outcome };
  };
}

/** A line that an operator acts on. The line of each request has its reason too. */
function refusalLog({ clock, log }: Pick<Dependencies, 'clock' | 'log'>): (refusal: WebhookRefusal) => void {
  const tallies = new Map<RefusalReason, RefusalTally>();
  return (refusal) => {
    const { tally, logged } = tallyRefusal(tallies.get(refusal.reason), clock.now());
    tallies.set(refusal.reason, tally);
    if (logged === 0) return;
    log.warn({ ...refusal, refusals: logged, advice: REFUSAL_ADVICE[refusal.reason] }, 'webhook refused');
  };
}
