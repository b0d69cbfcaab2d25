import type { ApiKey } from '../domain/api-key.ts';
import { authenticate } from '../operations/api-keys/authenticate.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { readApiKey } from './credentials.ts';
import type { HttpRequest } from './request.ts';

/** Returns the API key of a request, and records its id for the log; null if the request has no valid key. */
export async function authenticateRequest(
  dependencies: Dependencies,
  request: HttpRequest,
): Promise<ApiKey | null> {
  const apiKey = await authenticate(dependencies, readApiKey(request));
  if (apiKey === null) request.isUnauthenticated = true;
  else request.keyId = apiKey.id;
  return apiKey;
}
