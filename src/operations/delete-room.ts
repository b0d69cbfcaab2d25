import { type DeleteRoomOutcome, type RoomDeletion, settle } from '../domain/room-deletion.ts';
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
  { timeoutMs }: { timeoutMs: number },
): Promise<void> {
  const { callId, roomName, attempt } = deletion;
  const about = { callId, roomName, attempt };
  try {
    const outcome = await rooms.deleteRoom(roomName, { timeoutMs });
    const now = clock.now();
    const settlement = settle(deletion, outcome, { policy: retry, now, random: random.fraction() });
    const settled = await store.settleDeletion({ callId, attempt, settlement, now });
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
          { ...about, cause: settlement.lastError, nextAttemptAt, ...adviceFor(outcome) },
          'room not deleted; it will be tried again',
        );
        nudge(settlement.scheduledAt);
        return;
      }
      case 'discarded':
        log.error(
          { ...about, cause: settlement.lastError, ...adviceFor(outcome) },
          'room not deleted, and given up: it may be alive; delete it by hand',
        );
        return;
    }
  } catch (error) {
    log.error({ ...about, err: error }, 'room deletion not settled; it is tried again when its lease ends');
    nudge(deletion.scheduledAt);
  }
}

function adviceFor(outcome: DeleteRoomOutcome): { advice?: string } {
  if (outcome.kind !== 'refused') return {};
  switch (outcome.by) {
    case 'credentials':
      return {
        advice: 'check LIVEKIT_API_KEY and LIVEKIT_API_SECRET against the keys of your LiveKit server',
      };
    case 'address':
      return { advice: 'check LIVEKIT_URL: what answers there is no LiveKit server' };
    case 'request':
      return {};
  }
}
