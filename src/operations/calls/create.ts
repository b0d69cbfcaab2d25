import { type Call, newCall } from '../../domain/call.ts';
import { callHeld, callIdTaken, idempotencyKeyReused, roomNameTaken } from '../../domain/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import { fingerprintOf, idempotencyOf, type RepeatableRequest } from '../idempotency.ts';

export type RegisteredCall = Pick<
  Call,
  | 'direction'
  | 'phoneNumber'
  | 'agentId'
  | 'agentName'
  | 'contactName'
  | 'contactPhone'
  | 'contactEmail'
  | 'jobId'
  | 'sipParticipantId'
  | 'scheduledAt'
  | 'metadata'
> & {
  /** Null: a new id. */
  readonly id: string | null;
  /** Null: the call's id. */
  readonly roomName: string | null;
};

/**
 * Registers a call that another system places.
 * @throws RequestError conflict, idempotency_key_reused; StoreBusyError
 */
export async function createCall(
  { store, clock, random }: Pick<Dependencies, 'store' | 'clock' | 'random'>,
  request: RepeatableRequest & { registered: RegisteredCall },
): Promise<Call> {
  const { apiKey, registered, markReplayed } = request;
  const id = registered.id ?? random.id('call');
  const call = newCall({
    ...registered,
    id,
    organizationId: apiKey.organizationId,
    roomName: registered.roomName ?? id,
    createdAt: clock.now(),
  });
  const { result, isReplay } = await store.changeCall({
    kind: 'register',
    call,
    apiKeyId: apiKey.id,
    idempotency: idempotencyOf(request, fingerprintOf('calls.create', registered)),
  });
  if (isReplay) markReplayed();
  switch (result.kind) {
    case 'registered':
      return result.call;
    case 'id_taken':
      throw callIdTaken();
    case 'room_name_taken':
      throw roomNameTaken();
    case 'held':
      throw callHeld(result.cancellationId);
    case 'idempotency_key_reused':
      throw idempotencyKeyReused();
  }
}
