import { idempotencyKeyReused, roomAlreadyDeleted, roomDeletionNotFound } from '../../domain/errors.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import { isCallId } from '../calls/authorize.ts';
import type { Dependencies } from '../dependencies.ts';
import { fingerprintOf, idempotencyOf, type RepeatableRequest } from '../idempotency.ts';

/**
 * Makes an open or discarded deletion due at once, and wakes the worker.
 * @throws RequestError not_found; conflict when the room is deleted; idempotency_key_reused
 */
export async function retryRoomDeletion(
  { store, nudge, log }: Pick<Dependencies, 'store' | 'nudge' | 'log'>,
  request: RepeatableRequest & { callId: string },
): Promise<RoomDeletion> {
  const { callId, apiKey, markReplayed } = request;
  if (!isCallId(callId)) throw roomDeletionNotFound();
  const { organizationId, id: apiKeyId } = apiKey;
  const { result, isReplay } = await store.retryRoomDeletion({
    callId,
    organizationId,
    apiKeyId,
    idempotency: idempotencyOf(request, fingerprintOf('roomDeletions.retry', { callId })),
  });
  if (isReplay) markReplayed();
  switch (result.kind) {
    case 'retried':
      if (!isReplay) {
        log.info({ callId, keyId: apiKeyId }, 'room deletion retried at the request of an API key');
        nudge(result.deletion.scheduledAt);
      }
      return result.deletion;
    case 'completed':
      throw roomAlreadyDeleted();
    case 'not_found':
      throw roomDeletionNotFound();
    case 'idempotency_key_reused':
      throw idempotencyKeyReused();
  }
}
