import type { ApiKey } from '../domain/api-key.ts';
import type { Call } from '../domain/call.ts';
import { callIdTaken, roomNameTaken } from '../domain/errors.ts';
import type { Dependencies } from './dependencies.ts';

export type NewCall = Pick<
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
  /** Made when null. */
  readonly id: string | null;
  /** The call's id when null. */
  readonly roomName: string | null;
};

/**
 * Registers a call that another system places.
 * @throws RequestError conflict
 */
export async function createCall(
  { store, clock, random }: Pick<Dependencies, 'store' | 'clock' | 'random'>,
  { apiKey, newCall }: { apiKey: ApiKey; newCall: NewCall },
): Promise<Call> {
  const id = newCall.id ?? random.id('call');
  const now = clock.now();
  const call: Call = {
    ...newCall,
    id,
    organizationId: apiKey.organizationId,
    status: 'initiated',
    roomName: newCall.roomName ?? id,
    roomId: null,
    failureReason: null,
    cancelledBy: null,
    cancelReason: null,
    startedAt: null,
    answeredAt: null,
    endedAt: null,
    createdAt: now,
    updatedAt: now,
  };
  switch (await store.createCall({ call, apiKeyId: apiKey.id })) {
    case 'created':
      return call;
    case 'id_taken':
      throw callIdTaken();
    case 'room_name_taken':
      throw roomNameTaken();
  }
}
