import { z } from 'zod';
import { durationSeconds } from '../../domain/call.ts';
import { isLive } from '../../domain/call-status.ts';
import { toIso, toIsoOrNull } from '../../domain/time.ts';
import type { ListedCall } from '../../operations/calls/list.ts';
import { Agent, CALL_ID_EXAMPLE, CallStatus, callId, Direction, isoTime } from './call-fields.ts';
import { CallRoom, toCallRoom } from './call-room.ts';

export const CallListItem = z
  .object({
    id: callId,
    status: CallStatus,
    direction: Direction,
    scheduledAt: isoTime.nullable(),
    duration: z.int().nullable(),
    outcome: CallStatus.nullable().meta({ description: 'The final status. Null while the call is live.' }),
    agent: Agent,
    contact: z.object({
      phone: z.string().nullable(),
      name: z.string().nullable(),
      email: z.string().nullable(),
    }),
    phoneNumber: z.string().nullable(),
    createdAt: isoTime,
    room: CallRoom.optional().meta({ description: 'Only with `include=room`.' }),
  })
  .meta({ id: 'CallListItem' });

export const CALL_LIST_ITEM_EXAMPLE: z.output<typeof CallListItem> = {
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
};

export function toCallListItem(call: ListedCall): z.output<typeof CallListItem> {
  const item = {
    id: call.id,
    status: call.status,
    direction: call.direction,
    scheduledAt: toIsoOrNull(call.scheduledAt),
    duration: durationSeconds(call),
    outcome: isLive(call.status) ? null : call.status,
    agent: { id: call.agentId, name: call.agentName },
    contact: { phone: call.contactPhone, name: call.contactName, email: call.contactEmail },
    phoneNumber: call.phoneNumber,
    createdAt: toIso(call.createdAt),
  };
  return call.room === undefined ? item : { ...item, room: toCallRoom(call.room) };
}
