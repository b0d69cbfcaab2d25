import { z } from 'zod';
import { apiKeyNotFound, missingScope, unauthorized } from '../../domain/errors.ts';
import { revokeApiKey } from '../../operations/api-keys/revoke.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { keyId, LISTED_API_KEY_EXAMPLE, ListedApiKey, toListedApiKey } from './api-key.ts';

export const revoke = scopedProcedure('admin').mutation({
  rest: {
    method: 'DELETE',
    path: '/api-keys/{keyId}',
    operationId: 'revokeApiKey',
    summary: 'Revoke an API key',
    description:
      'Revokes a key of your organization at once and permanently, also the key of the request. Sessions of the console and event streams end with their key. Revoking twice has no further effect.',
    success: {
      status: 200,
      message: 'API key revoked',
      example: { ...LISTED_API_KEY_EXAMPLE, revokedAt: '2026-11-23T10:00:00.000Z' },
    },
    errors: [
      badRequest(unrecognizedKeys(['reason'])),
      unauthorized(),
      missingScope('admin'),
      apiKeyNotFound(),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
    ],
  },
  input: z.strictObject({ keyId }),
  output: ListedApiKey,
  handle: async ({ dependencies, apiKey: author }, { keyId: id }) =>
    toListedApiKey(await revokeApiKey(dependencies, { id, author }), author),
});
