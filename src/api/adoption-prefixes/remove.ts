import { z } from 'zod';
import { adoptionPrefixNotFound, missingScope, unauthorized } from '../../domain/errors.ts';
import { removeAdoptionPrefix } from '../../operations/adoption/remove.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { prefix } from './adoption-prefix.ts';

const RemovedAdoptionPrefix = z.object({ prefix: z.string() }).meta({ id: 'RemovedAdoptionPrefix' });

export const remove = scopedProcedure('admin').mutation({
  rest: {
    method: 'DELETE',
    path: '/adoption-prefixes/{prefix}',
    operationId: 'removeAdoptionPrefix',
    summary: 'Remove an adoption prefix',
    description: 'Rooms are no longer adopted by this prefix of your organization. Its adopted calls stay.',
    success: { status: 200, message: 'Adoption prefix removed', example: { prefix: 'support-' } },
    errors: [
      badRequest(unrecognizedKeys(['reason'])),
      unauthorized(),
      missingScope('admin'),
      adoptionPrefixNotFound(),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
    ],
  },
  input: z.strictObject({ prefix }),
  output: RemovedAdoptionPrefix,
  handle: async ({ dependencies, apiKey: author }, input) => {
    await removeAdoptionPrefix(dependencies, { ...input, author });
    return input;
  },
});
