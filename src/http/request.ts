import { IncomingMessage, type ServerResponse } from 'node:http';
import type { RateLimitStatus } from '../domain/rate-limit.ts';
import type { WebhookRefusal } from '../domain/webhook-refusal.ts';

export interface WebhookOutcome {
  readonly event: string | null;
  readonly outcome: string;
}

/** The event and the outcome; for a webhook that gets 401, the reason too. */
export type WebhookLogFields = WebhookOutcome | (WebhookOutcome & WebhookRefusal);

const NONE: readonly never[] = [];

/** A request, with the fields of its log line and the headers of its response. */
export class HttpRequest extends IncomingMessage {
  requestId = '';
  keyId: string | null = null;
  /** True if the request needs a valid API key and has none. */
  isUnauthenticated = false;
  webhook: WebhookLogFields | null = null;
  /** The CORS headers of the response, as a flat list of names and values. */
  corsHeaders: readonly string[] = NONE;
  /** The address at the other end of the connection. A closed socket has none, so it is read with the request. */
  peerAddress: string | undefined = undefined;
  /** The budgets that this request was counted in. */
  rateLimits: readonly RateLimitStatus[] = NONE;
}

/** The target of a request, for the handler of a mount. */
export interface Target {
  /** The path below the handler's mount, still percent-encoded. */
  readonly path: string;
  /** The query string without `?`. */
  readonly search: string;
}

export type Handler = (request: HttpRequest, response: ServerResponse, target: Target) => Promise<void>;

/** Logs an unexpected error. The client gets no detail of such an error. */
export type ErrorListener = (error: unknown, request: HttpRequest) => void;

/** Splits `/path?query` and the absolute form `http://host/path?query`, which HTTP/1.1 requires servers to accept. */
export function splitTarget(target: string): [pathname: string, search: string] {
  const url = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?]*/i, '');
  const separator = url.indexOf('?');
  return separator < 0 ? [url, ''] : [url.slice(0, separator), url.slice(separator + 1)];
}
