import type { ApiKey } from '../../src/domain/api-key.ts';
import type { DatabaseInspector } from './database-inspector.ts';
import type { EventLog } from './event-log.ts';
import type { SimulatedHangup } from './hangup.ts';
import type { SimulatedLiveKit } from './livekit.ts';
import type { Prng } from './prng.ts';
import type { SimulatedParticipant } from './simulated-participant.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** The parts of one simulation. */
export interface World {
  readonly virtualClock: VirtualClock;
  readonly prng: Prng;
  readonly eventLog: EventLog;
  readonly livekit: SimulatedLiveKit;
  /** One or two processes on one database. */
  readonly hangups: readonly SimulatedHangup[];
  readonly database: DatabaseInspector;
  /** A key of each organization. */
  readonly apiKeys: readonly ApiKey[];
  /** True once all faults are over. Participants then stop joining rooms. */
  readonly isCalm: () => boolean;
  /** Participants who are in a room or will rejoin. */
  readonly people: Set<SimulatedParticipant>;
  /** Calls without an end. hangup must not end them, whatever fault occurs. */
  readonly endless: Map<
    string,
    { readonly roomName: string; readonly people: readonly SimulatedParticipant[] }
  >;
  /** Ends of calls by the simulation's clock, which is always right. By call id. */
  readonly endedAt: ReadonlyMap<string, number>;
  /** Sets clocks ahead by this time. Processes on SQLite share the clock of their machine. */
  readonly setClockOffset: (offsetMs: number) => void;
  /** Ends the simulation. */
  readonly fail: (failure: Error) => void;
}

/** Returns the key of the organization that registers the calls of this name. Every third call is the second organization's. */
export function keyOf({ apiKeys }: World, name: string): ApiKey {
  const isSecond = Number(/\d+/.exec(name)?.[0] ?? 0) % 3 === 2;
  const key = apiKeys[isSecond ? 1 : 0];
  if (key === undefined) throw new Error('an organization has no key');
  return key;
}

/** Returns a running process if any process runs, as a load balancer does. */
export function anyHangup({ hangups, prng }: World): SimulatedHangup {
  const running = hangups.filter(({ isUp }) => isUp);
  return prng.of(running.length > 0 ? running : hangups);
}
