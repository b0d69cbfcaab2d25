import type { z } from 'zod';
import type { CallDetails, CallEvents, CallList } from './schemas.ts';

/* Answers as a reader of the OpenAPI document sees them; a test holds them against the schemas. */

export const CALL_ID_EXAMPLE = 'call_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b';

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

export const CALL_LIST_EXAMPLE: z.output<typeof CallList> = {
  calls: [
    {
      id: CALL_ID_EXAMPLE,
      status: 'cancelled',
      direction: 'outbound',
      scheduledAt: null,
      duration: null,
      outcome: 'cancelled',
      agent: { id: 'receptionist', name: 'Receptionist' },
      contact: { phone: '+15551234567', name: 'Ada', email: null },
      phoneNumber: '+15551234567',
      createdAt: '2026-11-23T08:00:00.000Z',
    },
  ],
  pagination: { total: 1, totalCapped: false, limit: 50, offset: 0, hasMore: false, nextCursor: null },
};

export const CALL_EVENTS_EXAMPLE: z.output<typeof CallEvents> = {
  events: [
    {
      id: '1042',
      at: '2026-11-23T08:00:00.000Z',
      action: 'call.status_changed',
      actor: 'livekit',
      actorId: 'EV_MkMTya4cADJo',
      from: 'ringing',
      to: 'busy',
      reason: 'participant_left: USER_REJECTED',
    },
  ],
  pagination: { limit: 50, hasMore: false, nextCursor: null },
};
