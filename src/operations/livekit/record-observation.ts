import type { AppliedChange } from '../../domain/call-change.ts';
import type { Observation } from '../../domain/observation.ts';
import { parseAgentId } from '../../domain/room-metadata.ts';
import type { Dependencies } from '../dependencies.ts';
import { logTransition } from './log-transition.ts';

/**
 * Applies a response of LiveKit, and logs the change.
 * @param leaseMs not null: a room deletion that follows is leased to the caller for this long
 * @returns null when nothing follows from the response
 */
export async function recordObservation(
  { store, random, log, nudge, callSettings: { policy, agentIdKey } }: Dependencies,
  observation: Observation,
  leaseMs: number | null = null,
): Promise<AppliedChange | null> {
  const metadata = 'room' in observation ? observation.room.metadata : null;
  const adopted =
    metadata === null ? null : { id: random.id('call'), agentId: parseAgentId(metadata, agentIdKey) };
  const { result } = await store.changeCall({ kind: 'observation', observation, policy, adopted, leaseMs });
  if (result !== null) logTransition({ log, nudge }, result, { observed: observation.kind });
  return result;
}
