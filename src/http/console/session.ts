import type { ServerResponse } from 'node:http';
import { TRPCError } from '@trpc/server';
import { z } from 'zod';
import { toCurrentApiKey } from '../../api/api-keys/current.ts';
import { badRequest, METHOD_NOT_ALLOWED, publicError, unrecognizedKeys } from '../../api/errors.ts';
import { RequestError, unauthorized } from '../../domain/errors.ts';
import type { ServerDependencies } from '../../operations/dependencies.ts';
import { createSession } from '../../operations/sessions/create.ts';
import { readJsonObject } from '../body.ts';
import { splitQuery } from '../query.ts';
import type { RateLimits } from '../rate-limits.ts';
import type { ErrorListener, Handler, HttpRequest } from '../request.ts';
import { commonHeaders, sendError, sendJson } from '../response.ts';
import { expiredCookie, sessionCookie } from './cookie.ts';

const SignIn = z.strictObject({ apiKey: z.string() });
/** Many times the size of a body with a key. */
const MAX_BODY_BYTES = 4096;

/** Creates the handler that exchanges an API key for the cookie of a session, and that ends a session. */
export function createSessionHandler({
  dependencies,
  signingKey,
  isSecure,
  limits,
  onError,
}: {
  dependencies: ServerDependencies;
  signingKey: Uint8Array;
  /** Whether the browser uses https. */
  isSecure: (request: HttpRequest) => boolean;
  limits: RateLimits;
  onError: ErrorListener;
}): Handler {
  async function signIn(request: HttpRequest, response: ServerResponse): Promise<void> {
    const parsed = SignIn.safeParse(await readJsonObject(request, response, MAX_BODY_BYTES));
    if (!parsed.success) throw new TRPCError({ code: 'BAD_REQUEST', cause: parsed.error });
    const session = await createSession(dependencies, { key: parsed.data.apiKey, signingKey });
    if (session === null) throw unauthorized();
    const { apiKey, token, expiresAt } = session;
    request.keyId = apiKey.id;
    const maxAgeS = Math.max(1, Math.floor((expiresAt - dependencies.clock.now()) / 1_000));
    const cookie = sessionCookie({ token, maxAgeS, isSecure: isSecure(request) });
    sendJson(request, response, 200, { data: toCurrentApiKey(apiKey) }, { 'set-cookie': cookie });
  }

  /** Counts a request without a valid key. Requests with a valid key work also while an address guesses keys. */
  async function signInOrCount(request: HttpRequest, response: ServerResponse): Promise<void> {
    try {
      await signIn(request, response);
    } catch (error) {
      if (error instanceof RequestError || error instanceof TRPCError) {
        request.isUnauthenticated = true;
        await limits.countAnonymous(request);
      }
      throw error;
    }
  }

  return async (request, response, { search }) => {
    try {
      const names = splitQuery(search).map(({ name }) => name);
      if (names.length > 0) throw badRequest(unrecognizedKeys(names));
      switch (request.method) {
        case 'POST':
          await signInOrCount(request, response);
          break;
        case 'DELETE':
          response.writeHead(204, [
            ...commonHeaders(request),
            'set-cookie',
            expiredCookie(isSecure(request)),
          ]);
          response.end();
          break;
        default:
          sendError(request, response, METHOD_NOT_ALLOWED, { allow: 'POST, DELETE' });
      }
    } catch (error) {
      const clientError = publicError(error);
      if (clientError.code >= 500) onError(error, request);
      sendError(request, response, clientError);
    }
  };
}
