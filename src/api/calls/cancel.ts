import { z } from 'zod';
import {
  callNotFound,
  callOfOtherOrganization,
  idempotencyKeyReused,
  missingScope,
  notCancellable,
  unauthorized,
} from '../../domain/errors.ts';
import { cancelCall } from '../../operations/calls/cancel.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { IDEMPOTENCY_HEADERS, idempotencyKey } from '../idempotency-key.ts';
import { repeatableCallProcedure } from '../procedures.ts';
import { plainText } from '../validators.ts';
import { CALL_ID_EXAMPLE, callId } from './call-fields.ts';

export const cancelReason = plainText(500).meta({
  description: 'Stored with the call and in the audit log.',
  examples: ['caller request'],
});

const CancelCallInput = z.strictObject({
  callId,
  reason: cancelReason.optional(),
  idempotencyKey: idempotencyKey.optional(),
});

export const CancelledCall = z
  .object({ id: callId, status: z.literal('cancelled') })
  .meta({ id: 'CancelledCall' });

export const cancel = repeatableCallProcedure('calls:cancel').mutation({
  rest: {
    method: 'DELETE',
    path: '/calls/{callId}',
    operationId: 'cancelCall',
    summary: 'Cancel a call',
    description:
      'Cancels the call and deletes its LiveKit room. 200 means that the cancel is stored. If LiveKit does not respond, hangup retries until the room is deleted.',
    rateLimit: 'cancels',
    headers: IDEMPOTENCY_HEADERS,
    success: {
      status: 200,
      message: 'Call cancelled successfully',
      example: { id: CALL_ID_EXAMPLE, status: 'cancelled' },
    },
    errors: [
      notCancellable('completed'),
      badRequest(unrecognizedKeys(['Reason'])),
      unauthorized(),
      callOfOtherOrganization(),
      missingScope('calls:cancel'),
      callNotFound(),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
      idempotencyKeyReused(),
    ],
  },
  input: CancelCallInput,
  output: CancelledCall,
  handle: async (context, input) => {
    const { callId, reason = null, idempotencyKey = null } = input;
    const { dependencies, apiKey, markReplayed } = context;
    await cancelCall(dependencies, { callId, apiKey, reason, idempotencyKey, markReplayed });
    return { id: callId, status: 'cancelled' as const };
  },
});
