import { z } from 'zod';
import { OPEN_DELETION_STATES, type RoomDeletion as StoredDeletion } from '../../domain/room-deletion.ts';
import { toIso } from '../../domain/time.ts';
import type { IncompleteState } from '../../ports/overview-store.ts';
import { CALL_ID_EXAMPLE, callId, isoTime } from '../calls/call-fields.ts';

const STATES = [...OPEN_DELETION_STATES, 'discarded'] as const satisfies readonly IncompleteState[];

export const IncompleteDeletionState = z.enum(STATES).meta({
  id: 'IncompleteDeletionState',
  description:
    'available: not attempted. running: an attempt runs. retryable: failed, and due again. discarded: given up after 24 hours.',
});

export const IncompleteDeletion = z
  .object({
    callId,
    roomName: z.string(),
    state: IncompleteDeletionState,
    attempt: z.int().meta({ description: 'The number of attempts that were started.' }),
    lastError: z.string().nullable(),
    createdAt: isoTime,
    nextAttemptAt: isoTime.nullable().meta({
      description: 'While an attempt runs, when its lease ends. Null for a discarded deletion.',
    }),
    cancellationId: z.string().nullable().meta({
      description: 'The cancellation of many calls that cancelled the call.',
    }),
  })
  .meta({ id: 'IncompleteDeletion' });

export const INCOMPLETE_DELETION_EXAMPLE: z.output<typeof IncompleteDeletion> = {
  callId: CALL_ID_EXAMPLE,
  roomName: CALL_ID_EXAMPLE,
  state: 'retryable',
  attempt: 3,
  lastError: 'timed_out: no answer within 10000 ms',
  createdAt: '2026-11-23T08:00:00.000Z',
  nextAttemptAt: '2026-11-23T08:00:20.000Z',
  cancellationId: null,
};

export function toIncompleteDeletion({
  callId: id,
  roomName,
  state,
  attempt,
  lastError,
  createdAt,
  scheduledAt,
  finalizedAt,
  cancellationId,
}: StoredDeletion): z.output<typeof IncompleteDeletion> {
  if (state === 'completed') throw new Error(`the deletion of ${id} is completed`);
  return {
    callId: id,
    roomName,
    state,
    attempt,
    lastError,
    createdAt: toIso(createdAt),
    nextAttemptAt: finalizedAt === null ? toIso(scheduledAt) : null,
    cancellationId,
  };
}
