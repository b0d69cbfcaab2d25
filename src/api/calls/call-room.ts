import { z } from 'zod';
import { toIso } from '../../domain/time.ts';
import type { CallRoom as StoredRoom } from '../../ports/overview-store.ts';
import { CALL_ID_EXAMPLE, isoTime } from './call-fields.ts';

export const CallRoom = z
  .object({
    name: z.string(),
    participants: z
      .array(
        z
          .object({ identity: z.string(), role: z.enum(['agent', 'person', 'phone']), joinedAt: isoTime })
          .meta({ id: 'RoomParticipant' }),
      )
      .meta({ description: 'Those who are present, without recorders. Empty when the call has ended.' }),
  })
  .meta({ id: 'CallRoom', description: 'The room as on record: hangup sends no request to LiveKit.' });

export const CALL_ROOM_EXAMPLE: z.output<typeof CallRoom> = {
  name: CALL_ID_EXAMPLE,
  participants: [
    { identity: 'agent-AJ_1', role: 'agent', joinedAt: '2026-11-23T08:00:01.000Z' },
    { identity: 'sip_15551234567', role: 'phone', joinedAt: '2026-11-23T08:00:02.000Z' },
  ],
};

export function toCallRoom({ name, participants }: StoredRoom): z.output<typeof CallRoom> {
  return {
    name,
    participants: participants.map(({ identity, role, joinedAt }) => ({
      identity,
      role,
      joinedAt: toIso(joinedAt),
    })),
  };
}
