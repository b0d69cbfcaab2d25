import type { Meters } from '../domain/meters.ts';
import type { Rooms } from '../domain/ports.ts';
import { measured } from './measured.ts';

/** Counts and times each request. To be put next to the wire: what waits before it for its turn is not LiveKit's. */
export function measuredRooms(rooms: Rooms, meters: Meters): Rooms {
  return measured(rooms, (ended) => {
    const { method, durationMs } = ended;
    if ('error' in ended) {
      // What threw was never sent.
      meters.livekitRequest({ method, code: 'error', durationMs });
      return;
    }
    const { result } = ended;
    meters.livekitRequest({ method, code: result.kind, durationMs });
    // An error in LiveKit's own words is an answer: so it speaks of a room whose node is dead.
    const isUnanswered =
      result.kind === 'timed_out' || (result.kind === 'unavailable' && result.code === null);
    meters.livekitAnswers(!isUnanswered);
  });
}
