import { adviceFor, type LiveKitFailure } from '../domain/livekit-failure.ts';
import type { Asking } from '../domain/ports.ts';
import { type DeleteRoomOutcome, mayBeGhost, type RoomDeletion, settle } from '../domain/room-deletion.ts';
import type { Dependencies } from './dependencies.ts';

/** How much longer than LiveKit's deadline a lease lasts: the time to write down how the attempt ended. */
export const LEASE_MARGIN_MS = 5_000;

/**
 * One attempt of a deletion that is leased to the caller: asks LiveKit, settles the lease, says what went wrong.
 * Never rejects: an attempt that could not be settled is claimed again when its lease is over.
 */
export async function deleteRoom(
  { store, rooms, clock, random, log, meters, retry, nudge }: Dependencies,
  deletion: RoomDeletion,
  asking: Asking,
): Promise<void> {
  const { callId, roomName, attempt } = deletion;
  const about = { callId, roomName, attempt };
  try {
    const first = await rooms.deleteRoom(roomName, asking);
    const leaseLeftMs = deletion.scheduledAt - clock.now();
    const rescued = mayBeGhost(deletion, first) ? await rescue(rooms, deletion, leaseLeftMs) : null;
    const outcome = rescued ?? first;
    // Also when it is absent now: LiveKit tells of the room that was taken over, and who heard that was faster.
    const wasRescued = rescued !== null;
    if (wasRescued) {
      meters.ghostRescued();
      log.warn(about, 'room rescued from a dead node of LiveKit, and deleted');
    }
    const now = clock.now();
    const settlement = settle(deletion, outcome, { policy: retry, now, random: random.fraction() });
    const settled = await store.settleDeletion({ callId, attempt, settlement, wasRescued, now });
    if (!settled) {
      log.warn(
        { ...about, outcome: outcome.kind },
        'this attempt lost its lease; its outcome changes nothing',
      );
      return;
    }
    meters.deletionSettled(settlement.state, now - deletion.createdAt);
    switch (settlement.state) {
      case 'completed':
        log.info({ ...about, outcome: outcome.kind }, 'room deleted');
        return;
      case 'retryable': {
        const nextAttemptAt = new Date(settlement.scheduledAt).toISOString();
        log.warn(
          { ...about, cause: settlement.lastError, nextAttemptAt, ...adviceOf(outcome) },
          'room not deleted; it will be tried again',
        );
        nudge(settlement.scheduledAt);
        return;
      }
      case 'discarded':
        log.error(
          { ...about, cause: settlement.lastError, ...adviceOf(outcome) },
          'room not deleted, and given up: it may be alive; try again with `hangup deletions retry`',
        );
        return;
    }
  } catch (error) {
    log.error({ ...about, err: error }, 'room deletion not settled; it is tried again when its lease ends');
    nudge(deletion.scheduledAt);
  }
}

function adviceOf(outcome: DeleteRoomOutcome) {
  return outcome.kind === 'deleted' || outcome.kind === 'absent' ? {} : adviceFor(outcome);
}

/** A rescue is three requests, which end before the lease does. */
const RESCUE_REQUESTS = 3;
const SETTLING_MS = 1_000;
const LONGEST_RESCUE_REQUEST_MS = 4_000;
/** Longer than the deletion behind it takes: what that does not delete closes by itself. */
const RESCUE_EMPTY_TIMEOUT_S = 10;

/**
 * A room whose node died stays listed for ever, and its deletion is never answered (livekit#3766). CreateRoom with its
 * name makes a living node take it over; then it can be deleted.
 * @returns null when it is no such room, or this did not help
 */
async function rescue(
  rooms: Dependencies['rooms'],
  { roomName }: RoomDeletion,
  leaseLeftMs: number,
): Promise<Exclude<DeleteRoomOutcome, LiveKitFailure> | null> {
  const fairShareMs = Math.floor((leaseLeftMs - SETTLING_MS) / RESCUE_REQUESTS);
  if (fairShareMs <= 0) return null;
  const asking = { timeoutMs: Math.min(fairShareMs, LONGEST_RESCUE_REQUEST_MS), priority: 'retry' } as const;
  // Once not listed proves nothing.
  if ((await rooms.hasRoom(roomName, asking)).kind !== 'listed') return null;
  const created = await rooms.createRoom({ roomName, emptyTimeoutS: RESCUE_EMPTY_TIMEOUT_S }, asking);
  if (created.kind !== 'created') return null;
  const outcome = await rooms.deleteRoom(roomName, asking);
  return outcome.kind === 'deleted' || outcome.kind === 'absent' ? outcome : null;
}
