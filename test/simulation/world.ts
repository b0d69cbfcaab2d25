import type { ApiKey } from '../../src/domain/api-key.ts';
import type { Chance } from './chance.ts';
import type { Chronicle } from './chronicle.ts';
import type { SimulatedHangup } from './hangup.ts';
import type { SimulatedLiveKit } from './livekit.ts';
import type { Person } from './person.ts';
import type { Records } from './records.ts';
import type { Timeline } from './timeline.ts';

/** All there is in one simulation. */
export interface World {
  readonly timeline: Timeline;
  readonly chance: Chance;
  readonly chronicle: Chronicle;
  readonly livekit: SimulatedLiveKit;
  /** On one database. */
  readonly hangups: readonly SimulatedHangup[];
  readonly records: Records;
  readonly apiKey: ApiKey;
  /** All trouble is over, and nobody comes to a room any more. */
  readonly isCalm: () => boolean;
  /** Everybody who wants to be in a room. */
  readonly people: Set<Person>;
  /** Calls that go on for ever: whatever goes wrong, they must not be ended. */
  readonly endless: Map<string, { readonly roomName: string; readonly people: readonly Person[] }>;
  /** Ends the simulation. */
  readonly fail: (failure: Error) => void;
}

/** The one that a load balancer would choose: one that runs, if any does. */
export function anyHangup({ hangups, chance }: World): SimulatedHangup {
  const running = hangups.filter(({ isUp }) => isUp);
  return chance.of(running.length > 0 ? running : hangups);
}
