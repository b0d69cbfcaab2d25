import type { Authentication } from '../api/procedure-request.ts';
import { authenticate, authenticateWithCall } from '../operations/api-keys/authenticate.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { readApiKey } from './credentials.ts';
import type { HttpRequest } from './request.ts';

/**
 * Returns the API key of a request, and records its id for the log.
 * @param callId the call to load with the key; undefined: none
 */
export async function authenticateRequest(
  dependencies: Dependencies,
  request: HttpRequest,
  callId?: string,
): Promise<Authentication> {
  const apiKeyHeader = readApiKey(request);
  const found =
    callId === undefined
      ? { apiKey: await authenticate(dependencies, apiKeyHeader) }
      : await authenticateWithCall(dependencies, { apiKeyHeader, callId });
  if (found.apiKey === null) request.isUnauthenticated = true;
  else request.keyId = found.apiKey.id;
  return found;
}
