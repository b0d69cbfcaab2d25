import type { ApiKey } from '../../src/domain/api-key.ts';
import type { DatabaseInspector } from './database-inspector.ts';
import type { EventLog } from './event-log.ts';
import type { SimulatedHangup } from './hangup.ts';
import type { SimulatedLiveKit } from './livekit.ts';
import type { Prng } from './prng.ts';
import type { SimulatedParticipant } from './simulated-participant.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** All there is in one simulation. */
export interface World {
  readonly virtualClock: VirtualClock;
  readonly prng: Prng;
  readonly eventLog: EventLog;
  readonly livekit: SimulatedLiveKit;
  /** On one database. */
  readonly hangups: readonly SimulatedHangup[];
  readonly database: DatabaseInspector;
  readonly apiKey: ApiKey;
  /** All faults are over, and nobody joins a room any more. */
  readonly isCalm: () => boolean;
  /** Everybody who wants to be in a room. */
  readonly people: Set<SimulatedParticipant>;
  /** Calls that go on for ever: whatever goes wrong, they must not be ended. */
  readonly endless: Map<
    string,
    { readonly roomName: string; readonly people: readonly SimulatedParticipant[] }
  >;
  /** Ends the simulation. */
  readonly fail: (failure: Error) => void;
}

/** The one that a load balancer would choose: one that runs, if any does. */
export function anyHangup({ hangups, prng }: World): SimulatedHangup {
  const running = hangups.filter(({ isUp }) => isUp);
  return prng.of(running.length > 0 ? running : hangups);
}
