import { z } from 'zod';
import { adoptionPrefixTaken, missingScope, unauthorized } from '../../domain/errors.ts';
import { addAdoptionPrefix } from '../../operations/adoption/add.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { ADOPTION_PREFIX_EXAMPLE, AdoptionPrefix, prefix, toAdoptionPrefix } from './adoption-prefix.ts';

export const add = scopedProcedure('admin').mutation({
  rest: {
    method: 'POST',
    path: '/adoption-prefixes',
    operationId: 'addAdoptionPrefix',
    summary: 'Add an adoption prefix',
    description:
      'Unregistered rooms become calls of your organization if their names begin with the prefix. If several prefixes match, the longest one decides. A second request with the same prefix changes nothing. A prefix that begins with the prefix of another organization gets 409.',
    success: { status: 201, message: 'Adoption prefix added', example: ADOPTION_PREFIX_EXAMPLE },
    errors: [
      badRequest(unrecognizedKeys(['prefixes'])),
      unauthorized(),
      missingScope('admin'),
      adoptionPrefixTaken(),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
    ],
  },
  input: z.strictObject({ prefix }).meta({ id: 'AddAdoptionPrefix' }),
  output: AdoptionPrefix,
  handle: async ({ dependencies, apiKey: author }, input) =>
    toAdoptionPrefix(await addAdoptionPrefix(dependencies, { ...input, author })),
});
