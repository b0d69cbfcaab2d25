import type { Meters } from '../domain/meters.ts';
import type { Rooms } from '../domain/ports.ts';
import { measured } from './measured.ts';

/** Outcomes that show no LiveKit at the other end, or one that cannot do its work. */
const UNANSWERED: ReadonlySet<string> = new Set(['unavailable', 'timed_out', 'unanswered']);

/** Counts and times each request. To be put next to the wire: what waits before it for its turn is not LiveKit's. */
export function measuredRooms(rooms: Rooms, meters: Meters): Rooms {
  return measured(rooms, (ended) => {
    const code = 'error' in ended ? 'error' : codeOf(ended.result);
    meters.livekitRequest({ method: ended.method, code, durationMs: ended.durationMs });
    // What threw was never sent.
    if (code !== 'error') meters.livekitAnswers(!UNANSWERED.has(code));
  });
}

/** An outcome's own kind; by the port, null is no answer, and anything else is what was asked for. */
function codeOf(result: unknown): string {
  if (result === null) return 'unanswered';
  const hasKind = typeof result === 'object' && 'kind' in result && typeof result.kind === 'string';
  return hasKind ? String(result.kind) : 'ok';
}
