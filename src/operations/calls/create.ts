import type { ApiKey } from '../../domain/api-key.ts';
import { type Call, newCall } from '../../domain/call.ts';
import { callHeld, callIdTaken, idempotencyKeyReused, roomNameTaken } from '../../domain/errors.ts';
import type { Dependencies } from '../dependencies.ts';

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
 * @throws RequestError conflict
 */
export async function createCall(
  { store, clock, random }: Pick<Dependencies, 'store' | 'clock' | 'random'>,
  { apiKey, registered }: { apiKey: ApiKey; registered: RegisteredCall },
): Promise<Call> {
  const id = registered.id ?? random.id('call');
  const call = newCall({
    ...registered,
    id,
    organizationId: apiKey.organizationId,
    roomName: registered.roomName ?? id,
    createdAt: clock.now(),
  });
  const { result } = await store.changeCall({ kind: 'register', call, apiKeyId: apiKey.id });
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
