import { z } from 'zod';
import {
  cancellationNotFound,
  idempotencyKeyReused,
  missingScope,
  unauthorized,
} from '../../domain/errors.ts';
import { liftHold as lift } from '../../operations/cancellations/lift-hold.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { IDEMPOTENCY_HEADERS, idempotencyKey } from '../idempotency-key.ts';
import { scopedProcedure } from '../procedures.ts';
import { CANCELLATION_EXAMPLE, Cancellation, cancellationId, toCancellation } from './cancellation.ts';

export const liftHold = scopedProcedure('calls:stop').mutation({
  rest: {
    method: 'DELETE',
    path: '/cancellations/{id}/hold',
    operationId: 'liftHold',
    summary: 'Lift the hold of a cancellation',
    description: 'Lets new matching calls start again. Lifting twice has no further effect.',
    headers: IDEMPOTENCY_HEADERS,
    // An emergency stop is never refused.
    rateLimit: null,
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
      idempotencyKeyReused(),
    ],
  },
  input: z.strictObject({ id: cancellationId, idempotencyKey: idempotencyKey.optional() }),
  output: Cancellation,
  handle: async ({ dependencies, apiKey, markReplayed }, { id, idempotencyKey = null }) =>
    toCancellation(await lift(dependencies, { id, apiKey, idempotencyKey, markReplayed })),
});
