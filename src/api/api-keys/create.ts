import { z } from 'zod';
import { SCOPES } from '../../domain/api-key.ts';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { createApiKey } from '../../operations/api-keys/create.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { isoTimestamp } from '../validators.ts';
import { apiKeyName, LISTED_API_KEY_EXAMPLE, ListedApiKey, toListedApiKey } from './api-key.ts';
import { Scope } from './scope.ts';

const EXPIRES_IN_THE_PAST = 'expiresAt: expected a future time';

const CreateApiKeyInput = z
  .strictObject({
    name: apiKeyName,
    scopes: z
      .array(Scope)
      .min(1)
      .max(SCOPES.length)
      .meta({ description: 'Also scopes that the key of the request does not have.' }),
    expiresAt: isoTimestamp.optional().meta({
      description: 'A future ISO 8601 time with its offset from UTC. If absent, the key never expires.',
      examples: ['2027-11-23T08:00:00Z'],
    }),
  })
  .meta({ id: 'CreateApiKey' });

const CreatedApiKey = ListedApiKey.extend({
  key: z.string().meta({ description: 'The key itself. hangup stores only its hash.' }),
}).meta({ id: 'CreatedApiKey', description: 'The only response that contains the key itself.' });

export const create = scopedProcedure('admin').mutation({
  rest: {
    method: 'POST',
    path: '/api-keys',
    operationId: 'createApiKey',
    summary: 'Create an API key',
    description:
      'Creates a key of your organization. The response is the only one that contains the key. Accepts no Idempotency-Key, because hangup cannot return the key again: if the response is lost, revoke the key and create another one.',
    success: {
      status: 201,
      message: 'API key created',
      example: {
        ...LISTED_API_KEY_EXAMPLE,
        lastUsedAt: null,
        key: `hangup_live_${'0'.repeat(43)}`,
      },
    },
    errors: [
      badRequest(unrecognizedKeys(['scope'])),
      badRequest(EXPIRES_IN_THE_PAST),
      unauthorized(),
      missingScope('admin'),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
    ],
  },
  input: CreateApiKeyInput,
  output: CreatedApiKey,
  handle: async ({ dependencies, apiKey: author }, { name, scopes, expiresAt = null }) => {
    if (expiresAt !== null && expiresAt <= dependencies.clock.now()) throw badRequest(EXPIRES_IN_THE_PAST);
    const { apiKey, key } = await createApiKey(dependencies, {
      organizationName: author.organizationName,
      name,
      scopes: SCOPES.filter((scope) => scopes.includes(scope)),
      expiresAt,
      author,
    });
    dependencies.log.info({ keyId: author.id, createdKeyId: apiKey.id }, 'API key created');
    return { ...toListedApiKey(apiKey, author), key };
  },
});
