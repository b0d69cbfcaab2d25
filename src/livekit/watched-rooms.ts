import type { LiveKitFailure } from '../domain/livekit-failure.ts';
import { afterRequest, PRESENT } from '../domain/livekit-presence.ts';
import type { Clock, Log, Rooms } from '../domain/ports.ts';
import type { Timestamp } from '../domain/time.ts';

export interface WatchedRooms extends Rooms {
  /** Since when LiveKit does not answer; null: it does. */
  awaySince(): Timestamp | null;
}

/** Sees from the requests' outcomes whether LiveKit is there, and says so when that changes. */
export function watchedRooms(
  rooms: Rooms,
  { clock, log, onBack }: { clock: Clock; log: Log; onBack: (awayMs: number) => void },
): WatchedRooms {
  let presence = PRESENT;

  async function watch<T extends { readonly kind: string }>(
    requested: Promise<T | LiveKitFailure>,
    isOfOneRoom = false,
  ): Promise<T | LiveKitFailure> {
    const outcome = await requested;
    const failure = isFailure(outcome) ? outcome : null;
    // So LiveKit speaks of a room whose node is dead: it says nothing of LiveKit.
    if (isOfOneRoom && failure?.kind === 'unavailable' && failure.code !== null) return outcome;
    const now = clock.now();
    const before = presence;
    presence = afterRequest(presence, failure, now);
    if (before.awaySince === null && presence.awaySince !== null) {
      log.error(
        { cause: failure?.detail, since: new Date(presence.awaySince).toISOString() },
        'LiveKit is away: cancels are kept, and their rooms deleted when it answers again',
      );
    }
    if (before.awaySince !== null && presence.awaySince === null) onBack(now - before.awaySince);
    return outcome;
  }

  return {
    deleteRoom: (roomName, asking) => watch(rooms.deleteRoom(roomName, asking), true),
    createRoom: (room, asking) => watch(rooms.createRoom(room, asking), true),
    listRooms: (take, asking) => watch(rooms.listRooms(take, asking)),
    findRoom: (roomName, asking) => watch(rooms.findRoom(roomName, asking)),
    probeNode: (roomName, asking) => watch(rooms.probeNode(roomName, asking), true),
    probeParticipant: (participant, asking) => watch(rooms.probeParticipant(participant, asking), true),
    listParticipants: (roomName, asking) => watch(rooms.listParticipants(roomName, asking), true),
    describeRoom: (roomName, asking) => watch(rooms.describeRoom(roomName, asking), true),
    awaySince: () => presence.awaySince,
  };
}

function isFailure(outcome: {
  readonly kind: string;
}): outcome is Extract<LiveKitFailure, { kind: 'unavailable' | 'timed_out' }> {
  return outcome.kind === 'unavailable' || outcome.kind === 'timed_out';
}
