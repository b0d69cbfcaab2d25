import { z } from 'zod';
import { durationSeconds } from '../../domain/call.ts';
import { DELETION_STATES, OPEN_DELETION_STATES, type RoomDeletion } from '../../domain/room-deletion.ts';
import { toIso, toIsoOrNull } from '../../domain/time.ts';
import type { CallDetails as Details } from '../../operations/calls/get.ts';
import { Agent, CALL_ID_EXAMPLE, CallStatus, callId, Direction, isoTime, jsonObject } from './call-fields.ts';

const LiveParticipant = z
  .object({
    identity: z.string(),
    name: z.string(),
    kind: z.string().meta({ description: "LiveKit's term.", examples: ['SIP', 'AGENT', 'STANDARD'] }),
    state: z.string().meta({ description: "LiveKit's term.", examples: ['ACTIVE'] }),
    joinedAt: isoTime.nullable(),
  })
  .meta({ id: 'LiveParticipant' });

const LiveRoomStatus = z
  .object({
    roomExists: z.boolean(),
    numParticipants: z.int(),
    participants: z.array(LiveParticipant),
  })
  .meta({ id: 'LiveRoomStatus' });

const RoomDeletionState = z
  .object({
    state: z.enum(DELETION_STATES),
    attempt: z.int(),
    lastError: z.string().nullable(),
    nextAttemptAt: isoTime.nullable(),
  })
  .meta({ id: 'RoomDeletion' });

export const CallDetails = z
  .object({
    id: callId,
    organizationId: z.string(),
    status: CallStatus,
    direction: Direction,
    phoneNumber: z.string().nullable(),
    duration: z.int().nullable().meta({ description: 'Seconds between the answer and the end.' }),
    scheduledAt: isoTime.nullable(),
    startedAt: isoTime.nullable(),
    endedAt: isoTime.nullable(),
    failureReason: z.string().nullable(),
    cancelledAt: isoTime.nullable(),
    cancelledBy: z.string().nullable().meta({ description: 'Id of the API key.' }),
    cancelReason: z.string().nullable(),
    cancellationId: z.string().nullable().meta({
      description: 'Id of the cancellation of many calls that cancelled this call.',
    }),
    agent: Agent.extend({ type: z.literal('voice') }),
    metadata: jsonObject,
    summary: z.string().nullable().meta({ description: 'Always null; kept for compatibility.' }),
    transcript: z.string().nullable().meta({ description: 'Always null; kept for compatibility.' }),
    roomId: z.string().nullable(),
    roomName: z.string(),
    jobId: z.string().nullable(),
    sipParticipantId: z.string().nullable(),
    liveRoomStatus: LiveRoomStatus.nullable().meta({
      description:
        "The room's state in LiveKit, requested for a live call. Null if the call has ended or LiveKit does not respond.",
    }),
    roomDeletion: RoomDeletionState.nullable(),
    createdAt: isoTime,
    updatedAt: isoTime,
  })
  .meta({ id: 'CallDetails' });

export const CALL_DETAILS_EXAMPLE: z.output<typeof CallDetails> = {
  id: CALL_ID_EXAMPLE,
  organizationId: 'org_019ab1e7a1b27c3d9e8f7a6b5c4d3e2f',
  status: 'initiated',
  direction: 'outbound',
  phoneNumber: '+15551234567',
  duration: null,
  scheduledAt: null,
  startedAt: null,
  endedAt: null,
  failureReason: null,
  cancelledAt: null,
  cancelledBy: null,
  cancellationId: null,
  cancelReason: null,
  agent: { id: 'receptionist', name: 'Receptionist', type: 'voice' },
  metadata: { campaign: 'autumn' },
  summary: null,
  transcript: null,
  roomId: null,
  roomName: CALL_ID_EXAMPLE,
  jobId: null,
  sipParticipantId: null,
  liveRoomStatus: null,
  roomDeletion: null,
  createdAt: '2026-11-23T08:00:00.000Z',
  updatedAt: '2026-11-23T08:00:00.000Z',
};

export function toCallDetails({ call, deletion, liveRoomStatus }: Details): z.output<typeof CallDetails> {
  return {
    id: call.id,
    organizationId: call.organizationId,
    status: call.status,
    direction: call.direction,
    phoneNumber: call.phoneNumber,
    duration: durationSeconds(call),
    scheduledAt: toIsoOrNull(call.scheduledAt),
    startedAt: toIsoOrNull(call.startedAt),
    endedAt: toIsoOrNull(call.endedAt),
    failureReason: call.failureReason,
    cancelledAt: call.status === 'cancelled' ? toIsoOrNull(call.endedAt) : null,
    cancelledBy: call.cancelledBy,
    cancelReason: call.cancelReason,
    cancellationId: call.cancellationId,
    agent: { id: call.agentId, name: call.agentName, type: 'voice' },
    metadata: call.metadata,
    summary: null,
    transcript: null,
    roomId: call.roomId,
    roomName: call.roomName,
    jobId: call.jobId,
    sipParticipantId: call.sipParticipantId,
    liveRoomStatus: liveRoomStatus && {
      roomExists: liveRoomStatus.roomExists,
      numParticipants: liveRoomStatus.numParticipants,
      participants: liveRoomStatus.participants.map(({ identity, name, kind, state, joinedAt }) => ({
        identity,
        name,
        kind,
        state,
        joinedAt: toIsoOrNull(joinedAt),
      })),
    },
    roomDeletion: deletion && toRoomDeletion(deletion),
    createdAt: toIso(call.createdAt),
    updatedAt: toIso(call.updatedAt),
  };
}

function toRoomDeletion({ state, attempt, lastError, scheduledAt }: RoomDeletion) {
  const isOpen = (OPEN_DELETION_STATES as readonly string[]).includes(state);
  return { state, attempt, lastError, nextAttemptAt: isOpen ? toIso(scheduledAt) : null };
}
