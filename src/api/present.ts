import type { z } from 'zod';
import { durationSeconds, isLive } from '../domain/call.ts';
import { OPEN_DELETION_STATES, type RoomDeletion } from '../domain/room-deletion.ts';
import type { Timestamp } from '../domain/time.ts';
import type { CallDetails as Details } from '../operations/calls/get.ts';
import type * as ports from '../ports/store.ts';
import type { CallDetails, CallEvents, CallListItem } from './schemas.ts';

export function presentDetails({ call, deletion, liveRoomStatus }: Details): z.output<typeof CallDetails> {
  return {
    id: call.id,
    organizationId: call.organizationId,
    status: call.status,
    direction: call.direction,
    phoneNumber: call.phoneNumber,
    duration: durationSeconds(call),
    scheduledAt: iso(call.scheduledAt),
    startedAt: iso(call.startedAt),
    endedAt: iso(call.endedAt),
    failureReason: call.failureReason,
    cancelledAt: call.status === 'cancelled' ? iso(call.endedAt) : null,
    cancelledBy: call.cancelledBy,
    cancelReason: call.cancelReason,
    agent: { id: call.agentId, name: call.agentName, type: 'voice' },
    metadata: { ...call.metadata },
    summary: null,
    transcript: null,
    roomId: call.roomId,
    roomName: call.roomName,
    jobId: call.jobId,
    sipParticipantId: call.sipParticipantId,
    liveRoomStatus: liveRoomStatus && {
      ...liveRoomStatus,
      participants: liveRoomStatus.participants.map((participant) => ({
        ...participant,
        joinedAt: iso(participant.joinedAt),
      })),
    },
    roomDeletion: deletion && presentDeletion(deletion),
    createdAt: isoOf(call.createdAt),
    updatedAt: isoOf(call.updatedAt),
  };
}

export function presentListItem(call: ports.CallListItem): z.output<typeof CallListItem> {
  return {
    id: call.id,
    status: call.status,
    direction: call.direction,
    scheduledAt: iso(call.scheduledAt),
    duration: durationSeconds(call),
    outcome: isLive(call.status) ? null : call.status,
    agent: { id: call.agentId, name: call.agentName },
    contact: { phone: call.contactPhone, name: call.contactName, email: call.contactEmail },
    phoneNumber: call.phoneNumber,
    createdAt: isoOf(call.createdAt),
  };
}

export function presentEvent(entry: ports.AuditEntry): z.output<typeof CallEvents>['events'][number] {
  const { id, at, fromStatus, toStatus, ...told } = entry;
  return { id: String(id), at: isoOf(at), ...told, from: fromStatus, to: toStatus };
}

function presentDeletion({ state, attempt, lastError, scheduledAt }: RoomDeletion) {
  const isOpen = (OPEN_DELETION_STATES as readonly string[]).includes(state);
  return { state, attempt, lastError, nextAttemptAt: isOpen ? isoOf(scheduledAt) : null };
}

function isoOf(at: Timestamp): string {
  return new Date(at).toISOString();
}

function iso(at: Timestamp | null): string | null {
  return at === null ? null : isoOf(at);
}
