import type { Call } from '../../src/domain/call.ts';

/** A call as createCall would make it, with what a test says differently. */
export function aCall(parts: Partial<Call> & Pick<Call, 'id' | 'organizationId'>): Call {
  return {
    status: 'initiated',
    direction: 'outbound',
    phoneNumber: null,
    agentId: null,
    agentName: null,
    contactName: null,
    contactPhone: null,
    contactEmail: null,
    roomName: parts.id,
    roomId: null,
    jobId: null,
    sipParticipantId: null,
    metadata: {},
    failureReason: null,
    cancelledBy: null,
    cancelReason: null,
    scheduledAt: null,
    startedAt: null,
    answeredAt: null,
    endedAt: null,
    createdAt: 1_000,
    updatedAt: 1_000,
    ...parts,
  };
}
