import { z } from 'zod';
import { callNotFound, callOfOtherOrganization, missingScope, unauthorized } from '../../domain/errors.ts';
import { toIso } from '../../domain/time.ts';
import { listCallEvents } from '../../operations/calls/list-events.ts';
import type { AuditEntry } from '../../ports/store.ts';
import { NOT_A_CURSOR } from '../cursor.ts';
import { badRequest, invalidInput, unrecognizedKeys } from '../errors.ts';
import { callProcedure } from '../procedures.ts';
import { CALL_ID_EXAMPLE, CallStatus, callId, isoTime } from './call-fields.ts';
import { type InfiniteQueryInput, isObject, withoutPaging } from './infinite-query.ts';

const MAX_LIMIT = 100;

export const CallEventsInput = z.strictObject({
  callId,
  limit: z.int().min(1).max(MAX_LIMIT).default(50).meta({ description: 'Events per page.' }),
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, NOT_A_CURSOR)
    .optional()
    .meta({ description: '`pagination.nextCursor` of the previous page.' }),
});

const InfiniteCallEventsInput = z
  .transform((input: InfiniteQueryInput<z.input<typeof CallEventsInput>>) =>
    isObject(input) ? withoutPaging(input) : input,
  )
  .pipe(CallEventsInput);

const CallEvent = z.object({
  id: z.string(),
  at: isoTime,
  action: z.string().meta({ examples: ['call.created', 'call.status_changed'] }),
  actor: z.string().meta({ description: 'api_key, livekit, reconciler or operator.' }),
  actorId: z.string().nullable().meta({ description: 'Id of the API key or of the LiveKit event.' }),
  from: CallStatus.nullable(),
  to: CallStatus.nullable(),
  reason: z.string().nullable(),
  cancellationId: z.string().nullable().meta({
    description: 'Id of the cancellation of many calls that caused the event.',
  }),
});

export const CallEvents = z
  .object({
    events: z.array(CallEvent),
    pagination: z.object({ limit: z.int(), hasMore: z.boolean(), nextCursor: z.string().nullable() }),
  })
  .meta({ id: 'CallEvents' });

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
      cancellationId: null,
    },
  ],
  pagination: { limit: 50, hasMore: false, nextCursor: null },
};

export const events = callProcedure('calls:read').query({
  rest: {
    method: 'GET',
    path: '/calls/{callId}/events',
    operationId: 'listCallEvents',
    summary: "List a call's events",
    description:
      "Lists the call's status changes, oldest first, each with its time, actor, old and new status and reason. The attempts to delete the room are in the event stream only.",
    success: { status: 200, example: CALL_EVENTS_EXAMPLE },
    errors: [
      invalidInput(CallEventsInput, { callId: CALL_ID_EXAMPLE, limit: MAX_LIMIT + 1 }),
      badRequest(unrecognizedKeys(['page'])),
      unauthorized(),
      callOfOtherOrganization(),
      missingScope('calls:read'),
      callNotFound(),
    ],
  },
  input: CallEventsInput,
  trpcInput: InfiniteCallEventsInput,
  output: CallEvents,
  handle: async (context, { callId, limit, cursor }) => {
    const page = await listCallEvents(context.dependencies, { callId, limit, after: Number(cursor ?? 0) });
    const nextCursor = page.next === null ? null : String(page.next);
    return {
      events: page.entries.map(toCallEvent),
      pagination: { limit, hasMore: nextCursor !== null, nextCursor },
    };
  },
});

function toCallEvent(entry: AuditEntry): z.output<typeof CallEvent> {
  const { id, at, action, actor, actorId, fromStatus: from, toStatus: to, reason, cancellationId } = entry;
  return { id: String(id), at: toIso(at), action, actor, actorId, from, to, reason, cancellationId };
}
