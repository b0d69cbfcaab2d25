import { z } from 'zod';
import { cancellationNotFound, missingScope, unauthorized } from '../../domain/errors.ts';
import { getCancellation } from '../../operations/cancellations/get.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { CANCELLATION_EXAMPLE, Cancellation, cancellationId, toCancellation } from './cancellation.ts';

export const GetCancellationInput = z.strictObject({ id: cancellationId });

export const get = scopedProcedure('calls:stop').query({
  rest: {
    method: 'GET',
    path: '/cancellations/{id}',
    operationId: 'getCancellation',
    summary: 'Get a cancellation',
    description: 'Returns the cancellation with its counts, as the records are now.',
    // An emergency stop is never refused.
    rateLimit: null,
    success: { status: 200, example: CANCELLATION_EXAMPLE },
    errors: [
      badRequest(unrecognizedKeys(['page'])),
      unauthorized(),
      missingScope('calls:stop'),
      cancellationNotFound(),
    ],
  },
  input: GetCancellationInput,
  output: Cancellation,
  handle: async ({ dependencies, apiKey }, { id }) =>
    toCancellation(await getCancellation(dependencies, { id, apiKey })),
});
