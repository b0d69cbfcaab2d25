import type { AppliedChange } from '../../domain/call-change.ts';
import { isNodeUnresponsive } from '../../domain/livekit-error.ts';
import type { RequestOptions } from '../../ports/livekit.ts';
import type { CallInRoom, Review } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { recordObservation } from './record-observation.ts';

/** For a room that no node answers for, LiveKit's answer comes after 3 s. */
const PROBE_TIMEOUT_MS = 6_000;

type Observed = AppliedChange | null;

/**
 * Requests the participants of a live call's room, and applies them.
 * @param isTrusted false right after LiveKit was away, while its clients return: then nobody counts as missing
 * @returns null when LiveKit did not answer, or nothing follows
 */
export async function observeParticipants(
  dependencies: Dependencies,
  { callId, roomName, version }: CallInRoom,
  { isTrusted, leaseMs = null, ...asking }: RequestOptions & { isTrusted: boolean; leaseMs?: number | null },
): Promise<Observed> {
  const { rooms, clock } = dependencies;
  const askedAt = clock.now();
  const answer = await rooms.listParticipants(roomName, asking);
  if (answer.kind !== 'listed') return null;
  const { participants } = answer;
  const list = { participants, askedAt, version, isTrusted };
  return recordObservation(dependencies, { kind: 'participants', callId, ...list }, leaseMs);
}

/**
 * Sends a message to nobody through the node of a live call's room. A room whose node died stays listed with its
 * participants: LiveKit answers for it that no server responds. LiveKit answers the same for an absent room, so the list
 * of rooms decides.
 */
export async function observeNode(
  dependencies: Dependencies,
  { callId, roomName }: Pick<CallInRoom, 'callId' | 'roomName'>,
  { priority, isTrusted }: Pick<RequestOptions, 'priority'> & { isTrusted: boolean },
): Promise<Observed> {
  const { rooms, clock } = dependencies;
  const asking = { timeoutMs: PROBE_TIMEOUT_MS, priority };
  const askedAt = clock.now();
  const answer = await rooms.probeNode(roomName, asking);
  const isSilent = isNodeUnresponsive(answer);
  if (!isSilent && answer.kind !== 'responding') return null;
  if (isSilent && (await rooms.findRoom(roomName, asking)).kind !== 'listed') return null;
  return recordObservation(dependencies, {
    kind: 'node',
    callId,
    isResponding: !isSilent,
    isTrusted,
    askedAt,
  });
}

/**
 * Asks for each member of a room that moved to another node: LiveKit goes on listing the participants of a dead one.
 * @returns null when LiveKit did not answer for one of them, or nothing follows
 */
export async function observeSuspects(
  dependencies: Dependencies,
  { callId, roomName, suspects }: Pick<Review, 'callId' | 'roomName' | 'suspects'>,
  { priority }: Pick<RequestOptions, 'priority'>,
): Promise<Observed> {
  const asking = { timeoutMs: PROBE_TIMEOUT_MS, priority };
  // Where the node itself is silent, so is everybody on it: that is the node's matter.
  if ((await dependencies.rooms.probeNode(roomName, asking)).kind !== 'responding') return null;
  const lost: string[] = [];
  for (const { sid, identity } of suspects) {
    const answer = await dependencies.rooms.probeParticipant({ roomName, identity }, asking);
    const isLost = isNodeUnresponsive(answer);
    if (!isLost && answer.kind !== 'responding') return null;
    if (isLost) lost.push(sid);
  }
  return recordObservation(dependencies, { kind: 'suspects', callId, lost });
}
