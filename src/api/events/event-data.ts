import { z } from 'zod';
import { ACTORS } from '../../domain/audit.ts';
import { CANCELLATION_STATES } from '../../domain/cancellation.ts';
import { DELETION_STATES } from '../../domain/room-deletion.ts';
import { toIso } from '../../domain/time.ts';
import type { StreamItem } from '../../operations/events/open-event-stream.ts';
import type { StreamedEvent } from '../../ports/event-store.ts';
import { CallStatus, isoTime } from '../calls/call-fields.ts';
import { Counts, cancellationId, toCounts } from '../cancellations/cancellation.ts';

const position = {
  id: z.string().meta({ description: 'The position of the event. Later events have larger numbers.' }),
  at: isoTime,
};
const actor = z.enum(ACTORS);

/** The data of one event. */
export const EventData = z
  .discriminatedUnion('type', [
    z.object({
      ...position,
      type: z.literal('call.created'),
      callId: z.string(),
      status: CallStatus.nullable(),
      agentId: z.string().nullable(),
      actor,
      actorId: z.string().nullable(),
    }),
    z.object({
      ...position,
      type: z.literal('call.status_changed'),
      callId: z.string(),
      from: CallStatus.nullable(),
      to: CallStatus.nullable(),
      reason: z.string().nullable(),
      actor,
      actorId: z.string().nullable(),
      cancellationId: cancellationId.nullable(),
    }),
    z.object({
      ...position,
      type: z.literal('call.room_deletion'),
      callId: z.string(),
      state: z.enum(DELETION_STATES),
      attempt: z.int(),
      error: z.string().nullable(),
      cancellationId: cancellationId.nullable(),
    }),
    z.object({
      ...position,
      type: z.literal('cancellation.progress'),
      cancellationId,
      state: z.enum(CANCELLATION_STATES),
      counts: Counts,
    }),
    z.object({
      ...position,
      type: z.literal('hold.lifted'),
      cancellationId,
      by: z.string().nullable().meta({ description: 'Id of the API key.' }),
    }),
    z.object({ ...position, type: z.literal('reset') }),
    z.object({ ...position, type: z.literal('opened') }),
  ])
  .meta({ id: 'Event' });

export type EventData = z.output<typeof EventData>;

/** Returns the data of an event. */
export function toEventData(event: StreamedEvent): EventData {
  const { action: type, subjectId, actor, actorId, reason, cancellationId } = event;
  const base = { id: String(event.id), at: toIso(event.at) };
  switch (type) {
    case 'call.created': {
      const { toStatus: status, agentId } = event;
      return { ...base, type, callId: subjectId, status, agentId, actor, actorId };
    }
    case 'call.status_changed': {
      const { fromStatus: from, toStatus: to } = event;
      return { ...base, type, callId: subjectId, from, to, reason, actor, actorId, cancellationId };
    }
    case 'call.room_deletion': {
      const { state, attempt, error } = detailsOf(event, 'attempt');
      return { ...base, type, callId: subjectId, state, attempt, error, cancellationId };
    }
    case 'cancellation.progress': {
      const { state, counts } = detailsOf(event, 'counts');
      return { ...base, type, cancellationId: subjectId, state, counts: toCounts(counts) };
    }
    case 'hold.lifted':
      return { ...base, type, cancellationId: subjectId, by: actorId };
  }
}

/** Returns the data of a message of hangup itself about the stream. */
export function toStreamData(
  type: 'reset' | 'opened',
  { position, at }: Pick<Extract<StreamItem, { kind: 'reset' }>, 'position' | 'at'>,
): EventData {
  return { id: String(position), at: toIso(at), type };
}

type Details = NonNullable<StreamedEvent['details']>;

/** Returns the details of an event, which the store wrote with the event's action. */
function detailsOf<Name extends 'attempt' | 'counts'>(
  { id, details }: StreamedEvent,
  name: Name,
): Extract<Details, Record<Name, unknown>> {
  const hasName = (value: Details): value is Extract<Details, Record<Name, unknown>> => name in value;
  if (details === null || !hasName(details)) throw new Error(`event ${id} has no ${name}`);
  return details;
}
