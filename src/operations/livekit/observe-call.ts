import type { AppliedChange } from '../../domain/call-change.ts';
import { isNodeUnresponsive } from '../../domain/livekit-error.ts';
import type { RequestOptions } from '../../ports/livekit.ts';
import type { CallInRoom, Review } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { recordObservation } from './record-observation.ts';

/** LiveKit takes 3 s to return an error for a room whose node does not respond. */
const PROBE_TIMEOUT_MS = 6_000;

/**
 * Requests the participants of a live call's room, and applies them.
 * @param isTrusted false right after an outage of LiveKit, while its clients reconnect: no participant counts as missing
 * @returns null if LiveKit did not list them, or if nothing changes
 */
export async function observeParticipants(
  dependencies: Dependencies,
  { callId, roomName, version }: CallInRoom,
  { isTrusted, leaseMs = null, ...options }: RequestOptions & { isTrusted: boolean; leaseMs?: number | null },
): Promise<AppliedChange | null> {
  const { rooms, clock } = dependencies;
  const requestedAt = clock.now();
  const listed = await rooms.listParticipants(roomName, options);
  if (listed.kind !== 'listed') return null;
  const { participants } = listed;
  const list = { participants, requestedAt, version, isTrusted };
  return recordObservation(dependencies, { kind: 'participants', callId, ...list }, leaseMs);
}

/**
 * Probes the node of a live call's room, and applies the result. A room whose node died stays listed with its
 * participants, and its probe fails. The probe of an absent room fails in the same way, so the list of rooms decides.
 */
export async function observeNode(
  dependencies: Dependencies,
  { callId, roomName }: Pick<CallInRoom, 'callId' | 'roomName'>,
  { priority, isTrusted }: Pick<RequestOptions, 'priority'> & { isTrusted: boolean },
): Promise<AppliedChange | null> {
  const { rooms, clock } = dependencies;
  const options = { timeoutMs: PROBE_TIMEOUT_MS, priority };
  const requestedAt = clock.now();
  const probed = await rooms.probeNode(roomName, options);
  const isUnresponsive = isNodeUnresponsive(probed);
  if (!isUnresponsive && probed.kind !== 'responding') return null;
  if (isUnresponsive && (await rooms.findRoom(roomName, options)).kind !== 'listed') return null;
  return recordObservation(dependencies, {
    kind: 'node',
    callId,
    isResponding: !isUnresponsive,
    isTrusted,
    requestedAt,
  });
}

/**
 * Probes each member of a room that moved to another node: LiveKit keeps listing the participants of a dead node.
 * @returns null if a probe got no response, or if nothing changes
 */
export async function observeSuspects(
  dependencies: Dependencies,
  { callId, roomName, suspects }: Pick<Review, 'callId' | 'roomName' | 'suspects'>,
  { priority }: Pick<RequestOptions, 'priority'>,
): Promise<AppliedChange | null> {
  const { rooms } = dependencies;
  const options = { timeoutMs: PROBE_TIMEOUT_MS, priority };
  // If the node itself does not respond, the probes of its participants prove nothing.
  if ((await rooms.probeNode(roomName, options)).kind !== 'responding') return null;
  const lost: string[] = [];
  for (const { sid, identity } of suspects) {
    const probed = await rooms.probeParticipant({ roomName, identity }, options);
    const isLost = isNodeUnresponsive(probed);
    if (!isLost && probed.kind !== 'responding') return null;
    if (isLost) lost.push(sid);
  }
  return recordObservation(dependencies, { kind: 'suspects', callId, lost });
}
