import type { HttpRequest } from '../request.ts';

const NAME = 'hangup_session';
/** JavaScript cannot read the cookie, and a request from another site has no cookie. */
const ATTRIBUTES = 'Path=/console; HttpOnly; SameSite=Strict';

/** Returns the token in the cookie of a session; null without the cookie. */
export function readSessionCookie({ headers }: HttpRequest): string | null {
  for (const pair of headers.cookie?.split(';') ?? []) {
    const separator = pair.indexOf('=');
    if (separator >= 0 && pair.slice(0, separator).trim() === NAME) return pair.slice(separator + 1).trim();
  }
  return null;
}

/** Returns the header `Set-Cookie` of a session. @param isSecure whether the browser may send the cookie over https only */
export function sessionCookie({
  token,
  maxAgeS,
  isSecure,
}: {
  token: string;
  maxAgeS: number;
  isSecure: boolean;
}): string {
  return `${NAME}=${token}; ${ATTRIBUTES}; Max-Age=${maxAgeS}${isSecure ? '; Secure' : ''}`;
}

/** Returns the header `Set-Cookie` that ends a session. */
export const expiredCookie = (isSecure: boolean) => sessionCookie({ token: '', maxAgeS: 0, isSecure });
