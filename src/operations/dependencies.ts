import type { Meters } from '../domain/meters.ts';
import type { Clock, Log, Random, Rooms, Store } from '../domain/ports.ts';
import type { RetryPolicy } from '../domain/retry-policy.ts';
import type { Timestamp } from '../domain/time.ts';
import type { KeepingTimes } from './forget.ts';
import type { EventSettings } from './sync-call.ts';

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
  readonly keep: KeepingTimes;
  readonly events: EventSettings;
  /** Tells the reconciler that it has something to do at this time. */
  readonly nudge: (at: Timestamp) => void;
}
