import { z } from 'zod';
import { cancellationNotFound, missingScope, unauthorized } from '../../domain/errors.ts';
import { liftHold as lift } from '../../operations/cancellations/lift-hold.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { CANCELLATION_EXAMPLE, Cancellation, cancellationId, toCancellation } from './cancellation.ts';

export const liftHold = scopedProcedure('calls:stop').mutation({
  rest: {
    method: 'DELETE',
    path: '/cancellations/{id}/hold',
    operationId: 'liftHold',
    summary: 'Lift the hold of a cancellation',
    description: 'Lets new matching calls start again. Lifting twice has no further effect.',
    success: {
      status: 200,
      message: 'Hold lifted',
      example: {
        ...CANCELLATION_EXAMPLE,
        hold: {
          state: 'lifted',
          liftedAt: '2026-11-23T09:00:00.000Z',
          liftedBy: CANCELLATION_EXAMPLE.createdBy,
        },
      },
    },
    errors: [
      badRequest(unrecognizedKeys(['reason'])),
      unauthorized(),
      missingScope('calls:stop'),
      cancellationNotFound(),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
    ],
  },
  input: z.strictObject({ id: cancellationId }),
  output: Cancellation,
  handle: async ({ dependencies, apiKey }, { id }) =>
    toCancellation(await lift(dependencies, { id, apiKey })),
});
