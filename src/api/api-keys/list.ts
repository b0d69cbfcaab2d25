import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { listApiKeys, MAX_LISTED_KEYS } from '../../operations/api-keys/list.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { LISTED_API_KEY_EXAMPLE, ListedApiKey, toListedApiKey } from './api-key.ts';

const ApiKeyList = z.object({ apiKeys: z.array(ListedApiKey) }).meta({ id: 'ApiKeyList' });

const NoInput = z.strictObject({});

export const list = scopedProcedure('admin').query({
  rest: {
    method: 'GET',
    path: '/api-keys',
    operationId: 'listApiKeys',
    summary: 'List API keys',
    description: `Returns at most ${MAX_LISTED_KEYS} keys of your organization: those that are not revoked first, and the newest of both first.`,
    success: { status: 200, example: { apiKeys: [LISTED_API_KEY_EXAMPLE] } },
    errors: [badRequest(unrecognizedKeys(['page'])), unauthorized(), missingScope('admin')],
  },
  input: NoInput,
  trpcInput: NoInput.prefault({}),
  output: ApiKeyList,
  handle: async ({ dependencies, apiKey }) => {
    const apiKeys = await listApiKeys(dependencies, apiKey);
    return { apiKeys: apiKeys.map((listed) => toListedApiKey(listed, apiKey)) };
  },
});
