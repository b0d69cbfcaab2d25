import { TokenVerifier, type VideoGrant } from 'livekit-server-sdk';
import { z } from 'zod';
import { type HttpResponse, textResponse } from './twirp.ts';

export interface KeyPair {
  readonly apiKey: string;
  readonly apiSecret: string;
}

const BEARER = 'Bearer ';

/**
 * Returns the grants of a request's token, or the 401 response. A request without a token has no grants; each method
 * checks the grants that it requires. An invalid token fails on any path, in plain text instead of Twirp's JSON.
 */
export async function authorize(
  authorization: string | undefined,
  { apiKey, apiSecret }: KeyPair,
): Promise<{ readonly grants: VideoGrant } | { readonly refusal: HttpResponse }> {
  if (!authorization) return { grants: {} };
  if (!authorization.startsWith(BEARER)) {
    return unauthorized('invalid authorization header. Must start with Bearer ');
  }
  const token = authorization.slice(BEARER.length);
  const issuer = parseIssuer(token);
  if (issuer === null) return unauthorized('invalid authorization token');
  if (issuer !== apiKey) return unauthorized(`invalid API key: ${issuer}`);
  try {
    const claims = await new TokenVerifier(apiKey, apiSecret).verify(token);
    return { grants: claims.video ?? {} };
  } catch (error) {
    // LiveKit's response contains the token, so a client that logs the response leaks the token.
    return unauthorized(`invalid token: ${token}, error: ${reasonOf(error)}`);
  }
}

function unauthorized(message: string): { readonly refusal: HttpResponse } {
  return { refusal: textResponse(401, message) };
}

/** LiveKit's words for the errors of TokenVerifier. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'token signature is invalid: signature is invalid',
  ERR_JWT_EXPIRED: 'token has invalid claims: token is expired',
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return ('code' in error && REASONS[String(error.code)]) || error.message;
}

const TokenClaims = z.object({ iss: z.string() });

function parseIssuer(token: string): string | null {
  const payload = token.split('.')[1];
  if (payload === undefined) return null;
  try {
    return TokenClaims.parse(JSON.parse(Buffer.from(payload, 'base64url').toString())).iss;
  } catch {
    return null;
  }
}
