import { z } from 'zod';
import type { ApiKey } from '../../domain/api-key.ts';
import { unauthorized } from '../../domain/errors.ts';
import { toIso, toIsoOrNull } from '../../domain/time.ts';
import { isoTime } from '../calls/call-fields.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { authenticatedProcedure } from '../procedures.ts';
import { Scope } from './scope.ts';

const CurrentApiKey = z
  .object({
    id: z.string(),
    name: z.string().meta({ description: 'The purpose that `hangup keys create --name` has set.' }),
    organization: z.string().meta({ description: 'Name of the organization.' }),
    organizationId: z.string(),
    scopes: z.array(Scope),
    createdAt: isoTime,
    expiresAt: isoTime.nullable(),
  })
  .meta({ id: 'ApiKey', description: 'The properties of an API key. The key itself is not stored.' });

const API_KEY_EXAMPLE: z.output<typeof CurrentApiKey> = {
  id: 'key_019ab1e7a1b27c3d9e8f7a6b5c4d3e2f',
  name: 'dashboard',
  organization: 'acme',
  organizationId: 'org_019ab1e7a1b27c3d9e8f7a6b5c4d3e2f',
  scopes: ['calls:read', 'calls:cancel'],
  createdAt: '2026-11-23T08:00:00.000Z',
  expiresAt: null,
};

const NoInput = z.strictObject({});

export const current = authenticatedProcedure().query({
  rest: {
    method: 'GET',
    path: '/api-keys/current',
    operationId: 'getCurrentApiKey',
    // `hangup mcp` offers the emergency stop only after this request.
    rateLimit: null,
    summary: 'Get your API key',
    description:
      'Returns the properties of the API key of the request: a client offers only actions within the scopes.',
    success: { status: 200, example: API_KEY_EXAMPLE },
    errors: [badRequest(unrecognizedKeys(['page'])), unauthorized()],
  },
  input: NoInput,
  // tRPC clients call a query without an input as `query()`.
  trpcInput: NoInput.prefault({}),
  output: CurrentApiKey,
  handle: async ({ apiKey }) => toCurrentApiKey(apiKey),
});

/** Returns the output of `apiKeys.current`. */
export function toCurrentApiKey(apiKey: ApiKey): z.output<typeof CurrentApiKey> {
  return {
    id: apiKey.id,
    name: apiKey.name,
    organization: apiKey.organizationName,
    organizationId: apiKey.organizationId,
    scopes: [...apiKey.scopes],
    createdAt: toIso(apiKey.createdAt),
    expiresAt: toIsoOrNull(apiKey.expiresAt),
  };
}
