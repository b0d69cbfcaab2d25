import type { RoomEventResult } from '../../domain/on-room-event.ts';
import type { RoomEvent } from '../../domain/room-event.ts';
import { parseAgentId } from '../../domain/room-metadata.ts';
import type { Dependencies } from '../dependencies.ts';
import { logTransition } from './log-transition.ts';

/** Applies one event of LiveKit, and logs the change. A repeated delivery changes nothing. */
export async function applyWebhookEvent(
  {
    store,
    random,
    log,
    nudge,
    callSettings: { policy, agentIdKey },
  }: Pick<Dependencies, 'store' | 'random' | 'log' | 'nudge' | 'callSettings'>,
  event: RoomEvent,
): Promise<RoomEventResult> {
  const adopted = { id: random.id('call'), agentId: parseAgentId(event.room.metadata, agentIdKey) };
  const { result } = await store.changeCall({ kind: 'room_event', event, policy, adopted });
  if (result.kind === 'applied') {
    const { payload, id } = event;
    logTransition({ log, nudge }, result, { roomName: event.room.name, event: payload.kind, eventId: id });
  }
  return result;
}
