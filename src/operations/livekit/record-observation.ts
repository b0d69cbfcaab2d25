import type { Observation } from '../../domain/observation.ts';
import { parseAgentId } from '../../domain/room-metadata.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { EventResult } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { logTransition } from './log-transition.ts';

/**
 * Applies a fact that LiveKit was asked for.
 * @param leaseUntil a room deletion that follows is leased to the caller until then
 * @returns null when it means nothing
 */
export async function recordObservation(
  { store, clock, random, log, nudge, events }: Dependencies,
  observation: Observation,
  leaseUntil: Timestamp | null = null,
): Promise<Extract<EventResult, { kind: 'applied' }> | null> {
  const metadata = 'room' in observation ? observation.room.metadata : null;
  const result = await store.applyObservation({
    observation,
    policy: events.policy,
    now: clock.now(),
    adoption:
      metadata === null
        ? null
        : { callId: random.id('call'), agentId: parseAgentId(metadata, events.agentIdKey) },
    leaseUntil,
  });
  if (result !== null) logTransition({ log, nudge }, result, { observed: observation.kind });
  return result;
}
