import type { PublicError } from '../../api/errors.ts';
import type { Handler, HttpRequest } from '../request.ts';
import { sendError } from '../response.ts';

/** A page of another origin can send this header only after a preflight, which hangup refuses. */
const HEADER = 'x-hangup-console';

const HEADER_MISSING: PublicError = {
  code: 403,
  message: `Access denied - expected the header ${HEADER}: 1`,
};
const OTHER_ORIGIN: PublicError = {
  code: 403,
  message: 'Access denied - Origin differs from Host. A proxy must send the Host header of the browser.',
};

/** Returns a handler that refuses requests that a page of another origin has caused. Reads are not checked: they change nothing. */
export function refuseOtherOrigins(handle: Handler): Handler {
  return async (request, response, target) => {
    const error = csrfError(request);
    if (error === null) await handle(request, response, target);
    else sendError(request, response, error);
  };
}

function csrfError({ method, headers }: HttpRequest): PublicError | null {
  if (method === 'GET' || method === 'HEAD') return null;
  if (headers[HEADER] !== '1') return HEADER_MISSING;
  return headers.origin === undefined || isSameHost(headers.origin, headers.host ?? '') ? null : OTHER_ORIGIN;
}

/** Compares without the default port of the origin's scheme, which some proxies add to Host. */
function isSameHost(origin: string, host: string): boolean {
  const url = URL.parse(origin);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false;
  return url.host === URL.parse(`${url.protocol}//${host}`)?.host;
}
