import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { listAdoptionPrefixes } from '../../operations/adoption/list.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { ADOPTION_PREFIX_EXAMPLE, AdoptionPrefix, toAdoptionPrefix } from './adoption-prefix.ts';

const AdoptionPrefixList = z
  .object({ adoptionPrefixes: z.array(AdoptionPrefix) })
  .meta({ id: 'AdoptionPrefixList' });

const NoInput = z.strictObject({});

export const list = scopedProcedure('admin').query({
  rest: {
    method: 'GET',
    path: '/adoption-prefixes',
    operationId: 'listAdoptionPrefixes',
    summary: 'List adoption prefixes',
    description: 'Returns the prefixes of your organization, in alphabetical order.',
    success: { status: 200, example: { adoptionPrefixes: [ADOPTION_PREFIX_EXAMPLE] } },
    errors: [badRequest(unrecognizedKeys(['page'])), unauthorized(), missingScope('admin')],
  },
  input: NoInput,
  trpcInput: NoInput.prefault({}),
  output: AdoptionPrefixList,
  handle: async ({ dependencies, apiKey }) => {
    const prefixes = await listAdoptionPrefixes(dependencies, apiKey);
    return { adoptionPrefixes: prefixes.map(toAdoptionPrefix) };
  },
});
