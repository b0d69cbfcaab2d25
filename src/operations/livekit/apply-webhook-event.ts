import type { RoomEvent } from '../../domain/room-event.ts';
import { agentIdFrom } from '../../domain/room-metadata.ts';
import type { EventResult } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { report } from './log-transition.ts';

/** Does what one event of LiveKit means, once, however often it is told. */
export async function syncCall(
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
      agentId: agentIdFrom(event.room.metadata, events.agentIdKey),
    },
  });
  if (result.kind === 'applied') {
    const { sign, id } = event;
    report({ log, nudge }, result, { roomName: event.room.name, event: sign.kind, eventId: id });
  }
  return result;
}
