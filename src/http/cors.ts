import type { ServerResponse } from 'node:http';
import { REPLAYED_HEADER } from '../api/idempotency-key.ts';
import type { HttpRequest } from './request.ts';
import { commonHeaders } from './response.ts';

/** Every origin, as CORS_ORIGINS spells it. */
const ANY_ORIGIN = '*';

const VARY_ORIGIN = ['vary', 'origin'];

/** The response headers that a page may read besides those that browsers always show. */
const EXPOSED_HEADERS = [
  'x-request-id',
  'retry-after',
  'ratelimit',
  'ratelimit-policy',
  REPLAYED_HEADER,
  'location',
  'last-event-id',
  'date',
].join(', ');

/** The same for every path: an unknown path gets its 404 after the preflight, so that the page can read the error. */
const PREFLIGHT_HEADERS: readonly string[] = [
  'access-control-allow-methods',
  'GET, HEAD, POST, DELETE',
  'access-control-allow-headers',
  'authorization, content-type, idempotency-key, last-event-id, trpc-accept, x-api-key',
  // The longest time that Chromium accepts.
  'access-control-max-age',
  '7200',
];

/** Returns the CORS headers for an origin, as a flat list of names and values. */
type Cors = (origin: string | undefined) => readonly string[];

/**
 * Creates the CORS headers. They never allow credentials: API keys are in headers of their own, so a browser has no reason
 * to send the cookies of another site.
 * @param origins exact origins; or `*`, every origin
 */
export function createCors(origins: readonly string[]): Cors {
  const allow = (origin: string, vary: readonly string[]) => [
    'access-control-allow-origin',
    origin,
    'access-control-expose-headers',
    EXPOSED_HEADERS,
    ...vary,
  ];
  if (origins.includes(ANY_ORIGIN)) {
    const headers = allow(ANY_ORIGIN, []);
    return () => headers;
  }
  const headers = new Map(origins.map((origin) => [origin, allow(origin, VARY_ORIGIN)]));
  const refused = origins.length === 0 ? [] : VARY_ORIGIN;
  return (origin) => (origin === undefined ? undefined : headers.get(origin)) ?? refused;
}

/** Returns whether a request is the preflight of a page whose origin is allowed. */
export function isAllowedPreflight({ method, headers, corsHeaders }: HttpRequest): boolean {
  return (
    method === 'OPTIONS' &&
    headers.origin !== undefined &&
    headers['access-control-request-method'] !== undefined &&
    corsHeaders.includes('access-control-allow-origin')
  );
}

/** Sends the response to a preflight. A browser sends preflights without the API key. */
export function sendPreflight(request: HttpRequest, response: ServerResponse): void {
  response.writeHead(204, [...commonHeaders(request), ...PREFLIGHT_HEADERS]);
  response.end();
}
