import type { EventPolicy } from '../domain/assess-call.ts';
import type { RetryPolicy } from '../domain/retry-policy.ts';
import type { Timestamp } from '../domain/time.ts';
import type { Rooms } from '../ports/livekit.ts';
import type { Meters } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import type { Clock, Log, Random } from '../ports/system.ts';

/** How long what is over is kept; null: for ever. */
interface KeepingTimes {
  readonly endedCallsMs: number | null;
  readonly auditMs: number | null;
  /** LiveKit repeats an event for half a minute, and its signature holds for 5 minutes. */
  readonly eventIdsMs: number;
}

/** What the operations on events are told by the settings. */
interface EventSettings {
  readonly policy: EventPolicy;
  /** Key of the room's metadata under which an adopted call's agent is named. */
  readonly agentIdKey: string;
}

/** What the operations work on. Each takes the part that it needs. */
export interface Dependencies {
  readonly store: Store;
  readonly rooms: Rooms;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly meters: Meters;
  readonly retry: RetryPolicy;
  /** Deadline of a LiveKit request that a client waits for. */
  readonly requestTimeoutMs: number;
  /** Deadline of a LiveKit request that nobody waits for. */
  readonly backgroundTimeoutMs: number;
  /** Deadline of asking LiveKit who is in a room. */
  readonly readTimeoutMs: number;
  /** How long after it should have begun a call fails whose room was never seen. */
  readonly neverStartedAfterMs: number;
  /** LiveKit's rate limit; 0: none. */
  readonly requestsPerMinute: number;
  readonly keep: KeepingTimes;
  readonly events: EventSettings;
  /** Tells the reconciler that it has something to do at this time. */
  readonly nudge: (at: Timestamp) => void;
}
