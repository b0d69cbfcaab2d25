import { z } from 'zod';
import {
  idempotencyKeyReused,
  missingScope,
  roomAlreadyDeleted,
  roomDeletionNotFound,
  unauthorized,
} from '../../domain/errors.ts';
import { retryRoomDeletion } from '../../operations/room-deletions/retry.ts';
import { callId } from '../calls/call-fields.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { IDEMPOTENCY_HEADERS, idempotencyKey } from '../idempotency-key.ts';
import { scopedProcedure } from '../procedures.ts';
import { INCOMPLETE_DELETION_EXAMPLE, IncompleteDeletion, toIncompleteDeletion } from './room-deletion.ts';

export const retry = scopedProcedure('calls:cancel').mutation({
  rest: {
    method: 'POST',
    path: '/calls/{callId}/room-deletion/retry',
    operationId: 'retryRoomDeletion',
    summary: 'Retry a room deletion',
    description:
      'Makes an open or discarded room deletion due at once. hangup then retries for 24 hours again.',
    headers: IDEMPOTENCY_HEADERS,
    rateLimit: 'cancels',
    success: {
      status: 200,
      message: 'Room deletion is due',
      example: {
        ...INCOMPLETE_DELETION_EXAMPLE,
        state: 'available',
        attempt: 0,
        nextAttemptAt: INCOMPLETE_DELETION_EXAMPLE.createdAt,
      },
    },
    errors: [
      badRequest(unrecognizedKeys(['reason'])),
      unauthorized(),
      missingScope('calls:cancel'),
      roomDeletionNotFound(),
      roomAlreadyDeleted(),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
      idempotencyKeyReused(),
    ],
  },
  input: z.strictObject({ callId, idempotencyKey: idempotencyKey.optional() }),
  output: IncompleteDeletion,
  handle: async ({ dependencies, apiKey, markReplayed }, { callId: id, idempotencyKey: key = null }) =>
    toIncompleteDeletion(
      await retryRoomDeletion(dependencies, { callId: id, apiKey, idempotencyKey: key, markReplayed }),
    ),
});
