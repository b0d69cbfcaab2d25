import type { Authentication } from '../../api/procedure-request.ts';
import { appRouter } from '../../api/router.ts';
import { sessionOfOtherKey } from '../../domain/errors.ts';
import { authenticateSession } from '../../operations/sessions/authenticate.ts';
import { deriveSigningKey } from '../../operations/sessions/token.ts';
import type { Mount, MountOptions } from '../mounts.ts';
import type { ErrorListener, HttpRequest } from '../request.ts';
import { sendNotFound } from '../response.ts';
import { createTrpcHandler } from '../trpc.ts';
import { readSessionCookie } from './cookie.ts';
import { refuseOtherOrigins } from './csrf.ts';
import { createSessionHandler } from './session.ts';

/** The id of the API key whose session the page shows. The page of another tab can have replaced the cookie. */
const KEY_ID_HEADER = 'x-hangup-key-id';

/**
 * Returns the handlers of the console's requests: the session, and tRPC under the cookie of the session. No page of another
 * origin may use them.
 */
export function createConsoleMounts(
  { dependencies, limits, draining, sessionSecret, isSecure }: MountOptions,
  onError: ErrorListener,
): readonly Mount[] {
  const signingKey = deriveSigningKey(sessionSecret);
  const authenticate = async (request: HttpRequest): Promise<Authentication> => {
    const token = readSessionCookie(request);
    const apiKey = token === null ? null : await authenticateSession(dependencies, { token, signingKey });
    if (apiKey === null) request.isUnauthenticated = true;
    else request.keyId = apiKey.id;
    const expectedId = request.headers[KEY_ID_HEADER];
    if (apiKey !== null && expectedId !== undefined && expectedId !== apiKey.id) throw sessionOfOtherKey();
    return { apiKey };
  };
  const session = createSessionHandler({ dependencies, signingKey, isSecure, limits, onError });
  const trpc = createTrpcHandler({
    router: appRouter,
    dependencies,
    authenticate,
    limits,
    draining,
    onError,
  });
  return [
    { path: '/console/session', handle: refuseOtherOrigins(session) },
    { path: '/console/trpc/', handle: refuseOtherOrigins(trpc) },
    // No page of the console has these paths.
    { path: '/console/session/', handle: sendNotFound },
    { path: '/console/trpc', handle: sendNotFound },
  ];
}
