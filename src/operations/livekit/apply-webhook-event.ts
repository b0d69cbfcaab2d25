import type { RoomEvent } from '../../domain/room-event.ts';
import { parseAgentId } from '../../domain/room-metadata.ts';
import type { EventResult } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { logTransition } from './log-transition.ts';

/** Does what one event of LiveKit means, once, however often it is told. */
export async function applyWebhookEvent(
  {
    store,
    clock,
    random,
    log,
    nudge,
    events,
  }: Pick<Dependencies, 'store' | 'clock' | 'random' | 'log' | 'nudge' | 'events'>,
  event: RoomEvent,
): Promise<EventResult> {
  const result = await store.applyEvent({
    event,
    policy: events.policy,
    now: clock.now(),
    adoption: {
      callId: random.id('call'),
      agentId: parseAgentId(event.room.metadata, events.agentIdKey),
    },
  });
  if (result.kind === 'applied') {
    const { payload, id } = event;
    logTransition({ log, nudge }, result, { roomName: event.room.name, event: payload.kind, eventId: id });
  }
  return result;
}
