import { TokenVerifier, type VideoGrant } from 'livekit-server-sdk';
import { z } from 'zod';
import { type Answer, text } from './twirp.ts';

export interface KeyPair {
  readonly apiKey: string;
  readonly apiSecret: string;
}

const BEARER = 'Bearer ';

/**
 * The grants that a request carries. None at all is not an error yet: which grant a request needs, its method
 * says. A token that is there and wrong ends any request, whatever its path, in plain text instead of Twirp's JSON.
 */
export async function readGrants(
  authorization: string | undefined,
  { apiKey, apiSecret }: KeyPair,
): Promise<{ readonly grants: VideoGrant } | { readonly refusal: Answer }> {
  if (authorization === undefined) return { grants: {} };
  if (!authorization.startsWith(BEARER)) {
    return refuse('invalid authorization header. Must start with Bearer ');
  }
  const token = authorization.slice(BEARER.length);
  const issuer = issuerOf(token);
  if (issuer === null) return refuse('invalid authorization token');
  if (issuer !== apiKey) return refuse(`invalid API key: ${issuer}`);
  try {
    const claims = await new TokenVerifier(apiKey, apiSecret).verify(token);
    return { grants: claims.video ?? {} };
  } catch (error) {
    // The real server repeats the token here: whoever logs this message logs a token.
    return refuse(`invalid token: ${token}, error: ${error instanceof Error ? error.message : error}`);
  }
}

function refuse(message: string): { readonly refusal: Answer } {
  return { refusal: text(401, message) };
}

const Issued = z.object({ iss: z.string() });

function issuerOf(token: string): string | null {
  const payload = token.split('.')[1];
  if (payload === undefined) return null;
  try {
    return Issued.parse(JSON.parse(Buffer.from(payload, 'base64url').toString())).iss;
  } catch {
    return null;
  }
}
