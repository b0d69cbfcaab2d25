import type { ServerResponse } from 'node:http';
import { METHOD_NOT_ALLOWED, type PublicError, publicError } from '../api/errors.ts';
import { unauthorized } from '../domain/errors.ts';
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
import { assertUncompressed, readBody } from './body.ts';
import type { RateLimits } from './rate-limits.ts';
import type { ErrorListener, HttpRequest, WebhookLogFields, WebhookOutcome } from './request.ts';
import { sendError, sendJson } from './response.ts';
import { limitPerTurn } from './turn-limit.ts';

/** LiveKit has no timeout for webhooks, but clients wait for other requests. */
const WEBHOOKS_PER_TURN = 8;

/**
 * Creates the handler of LiveKit's webhooks. LiveKit treats a 4xx as delivered and retries a 5xx. Therefore 200 comes
 * after the commit, 4xx only for a request that can never be an event, and 503 for an error of hangup. The handler
 * waits only for the store: LiveKit has no timeout, and a room's other events queue until the response.
 */
export function createWebhookHandler({
  dependencies,
  parse,
  limits,
  draining,
  onError,
}: {
  dependencies: Dependencies;
  parse: WebhookParser;
  limits: RateLimits;
  draining: AbortSignal;
  onError: ErrorListener;
}): (request: HttpRequest, response: ServerResponse) => Promise<WebhookLogFields> {
  let isFirstWebhookLogged = false;
  const logRefusal = createRefusalLog(dependencies);
  const nextPlace = limitPerTurn(WEBHOOKS_PER_TURN);

  return async (request, response) => {
    const refuse = (error: PublicError, outcome: string, headers = {}): WebhookOutcome => {
      sendError(request, response, error, headers);
      return { event: null, outcome };
    };
    if (request.method !== 'POST') return refuse(METHOD_NOT_ALLOWED, 'refused', { allow: 'POST' });
    if (draining.aborted) return refuse({ code: 503, message: 'Shutting down' }, 'stopping');
    let body: Buffer;
    try {
      assertUncompressed(request.headers);
      body = await readBody(request, response);
    } catch (error) {
      return refuse(publicError(error), 'refused');
    }
    await nextPlace();
    const webhook = await parse(body, request.headers.authorization);
    if (webhook.kind === 'refused') {
      request.isUnauthenticated = true;
      logRefusal(webhook.refusal);
      let error: unknown = unauthorized();
      try {
        await limits.countAnonymous(request);
      } catch (limited) {
        error = limited;
      }
      // The same response for each reason: the reason would help to forge a webhook.
      return { ...refuse(publicError(error), 'unauthorized'), ...webhook.refusal };
    }
    if (webhook.kind === 'malformed') {
      return refuse({ code: 400, message: `Malformed webhook: ${webhook.reason}` }, 'malformed');
    }
    const event = webhook.name.slice(0, 64);
    if (!isFirstWebhookLogged) {
      isFirstWebhookLogged = true;
      dependencies.log.info({ event }, 'first LiveKit webhook received');
    }
    let outcome = 'ignored';
    if (webhook.kind === 'event') {
      try {
        outcome = (await applyWebhookEvent(dependencies, webhook.event)).kind;
      } catch (error) {
        onError(error, request);
        return { ...refuse({ code: 503, message: 'Try again' }, 'failed'), event };
      }
    }
    sendJson(request, response, 200, { data: { outcome } });
    return { event, outcome };
  };
}

/** Returns a function that logs refusals with advice for the operator, at a limited rate. */
function createRefusalLog({
  clock,
  log,
}: Pick<Dependencies, 'clock' | 'log'>): (refusal: WebhookRefusal) => void {
  const tallies = new Map<RefusalReason, RefusalTally>();
  return (refusal) => {
    const { tally, countToLog } = tallyRefusal(tallies.get(refusal.reason), clock.now());
    tallies.set(refusal.reason, tally);
    if (countToLog === 0) return;
    log.warn({ ...refusal, refusals: countToLog, advice: REFUSAL_ADVICE[refusal.reason] }, 'webhook refused');
  };
}
