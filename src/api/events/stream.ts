import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { openEventStream } from '../../operations/events/open-event-stream.ts';
import { badRequest, invalidInput, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { plainText } from '../validators.ts';
import { EventData, toEventData, toStreamData } from './event-data.ts';
import { EventStream, type StreamMessage } from './event-stream.ts';

const EventStreamInput = z.strictObject({
  agentId: plainText(256).optional().meta({ description: 'Only events of calls of this agent.' }),
  callId: plainText(128).optional().meta({ description: 'Only events of this call.' }),
  cancellationId: plainText(128)
    .optional()
    .meta({ description: 'Only events that this cancellation caused.' }),
  lastEventId: z.string().max(255).optional().meta({
    description:
      'The `id` of the last received event: the stream continues after this event. Without an id, the stream contains new events only. The header `Last-Event-ID`, which an EventSource sends when it reconnects, wins over the query.',
  }),
});

const EVENT_STREAM_EXAMPLE = `id: 1042
event: call.status_changed
data: {"id":"1042","at":"2026-11-23T08:00:00.000Z","type":"call.status_changed","callId":"call_1","from":"ringing","to":"busy","reason":"participant_left: USER_REJECTED","actor":"livekit","actorId":"EV_MkMTya4cADJo","cancellationId":null}

`;

export const stream = scopedProcedure('calls:read').subscription({
  rest: {
    method: 'GET',
    path: '/events',
    operationId: 'streamEvents',
    summary: 'Stream events',
    description:
      'Sends the changes of calls, room deletions and cancellations as server-sent events, in the order of their commits. The event is the type, and the data is one JSON object with `id`, `at`, `type`, `callId` or `cancellationId`, and the change. Connect again with the last id to continue without a gap. A position that is not on record gets the event `reset`, and then new events.',
    success: { status: 200, example: EVENT_STREAM_EXAMPLE },
    contentType: 'text/event-stream',
    headers: { 'last-event-id': 'lastEventId' },
    queryHeaders: ['lastEventId'],
    errors: [
      invalidInput(EventStreamInput, { callId: '' }),
      badRequest(unrecognizedKeys(['page'])),
      unauthorized(),
      missingScope('calls:read'),
    ],
  },
  input: EventStreamInput,
  output: EventData,
  handle: async ({ request, dependencies, apiKey }, { lastEventId = '', ...filter }) =>
    new EventStream(async function* (signal): AsyncGenerator<StreamMessage<EventData>> {
      const items = openEventStream(
        dependencies,
        {
          organizationId: apiKey.organizationId,
          filter,
          // An EventSource without an id sends none, or an empty one.
          lastEventId: lastEventId === '' ? null : lastEventId,
          isKeyActive: () => request.isKeyActive(),
        },
        signal,
      );
      // A subscription of tRPC has ids only with data. Without this first id, a client could not resume before an event.
      let isOpened = request.transport === 'rest';
      for await (const item of items) {
        switch (item.kind) {
          case 'event': {
            const data = toEventData(item.event);
            yield { id: data.id, data };
            break;
          }
          case 'reset':
            yield { id: String(item.position), data: toStreamData('reset', item) };
            break;
          case 'position': {
            const { position } = item;
            const at = dependencies.clock.now();
            const data = isOpened ? null : toStreamData('opened', { position, at });
            isOpened = true;
            yield { id: String(position), data };
          }
        }
      }
    }),
});
